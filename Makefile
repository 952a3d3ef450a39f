# make demo: pictures from the shipped checkpoint, made by a real ComfyUI, in out/demo
# make test: style, types and every test, also those on a real ComfyUI and in a real browser
# Both may be run again at any time; what is there is not fetched again.

BIN := .venv/bin
WORKFLOWS := workflows/sample_gan.json workflows/walk_latent_space.json

.PHONY: demo test browser clean
.DELETE_ON_ERROR:

demo: .venv/.host
	$(BIN)/genart setup --base out/comfyui
	$(BIN)/genart run $(WORKFLOWS) --base out/comfyui --out out/demo
	@echo "genart: these pictures lie in out/demo"

test: .venv/.test browser
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest

# A Python that ComfyUI 0.3.75 and its torch run on.
.venv/bin/python:
	@for python in python3.11 python3.12 python3.13 python3.10 python3 python; do \
		$$python -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null \
			|| continue; \
		echo "genart: making .venv with $$($$python --version)"; \
		$$python -m venv .venv && exit 0; \
		rm -rf .venv; \
		echo "genart: $$python cannot make a virtual environment; on Debian install python3-venv." >&2; \
		exit 1; \
	done; \
	echo "genart: found no Python 3.10 to 3.13; install python3.11, then run make again." >&2; \
	exit 1

.venv/.host: pyproject.toml | .venv/bin/python
	@$(call install,host)

.venv/.test: pyproject.toml | .venv/bin/python
	@$(call install,host$(comma)test)
	@touch .venv/.host

comma := ,
define install
echo "genart: installing what the extra '$(1)' names (torch alone is some gigabytes)"; \
if ! $(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[$(1)]'; then \
	echo "genart: pip could not install it (above, it says why); check the network and pip's" \
		"package index, then run make again." >&2; \
	exit 1; \
fi; \
touch $@
endef

# The page tests take $CHROMIUM or a browser on the PATH; without one they skip, except with CI=true.
browser:
	@found() { \
		for browser in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
			command -v "$$browser" >/dev/null 2>&1 && return; \
		done; \
		return 1; \
	}; \
	if ! found && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
		echo "genart: installing chromium for the page tests"; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
	fi; \
	if ! found; then \
		echo "genart: no chromium on the PATH and no \$$CHROMIUM: the page tests cannot run." >&2; \
		[ "$$CI" != true ]; \
	fi

clean:
	rm -rf .venv out build *.egg-info
