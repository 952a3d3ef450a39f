"""A GAN on a device whose memory holds a few pictures at a time."""

import comfy.model_management as mm


class ShortMemory:
    CATEGORY, FUNCTION, RETURN_TYPES = "test", "limit", ("GENART_GAN",)

    @classmethod
    def INPUT_TYPES(cls):  # noqa: N802 - ComfyUI's name
        return {"required": {"gan": ("GENART_GAN",), "most": ("INT", {"default": 3})}}

    def limit(self, gan, most):
        def full(module, inputs):
            if len(inputs[0]) > most:
                raise mm.OOM_EXCEPTION("as the test wants it")

        gan.loaded.generator.synthesis.register_forward_pre_hook(full)
        return (gan,)


NODE_CLASS_MAPPINGS = {"GenartTestShortMemory": ShortMemory}
