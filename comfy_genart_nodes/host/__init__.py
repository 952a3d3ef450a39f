"""The only rooms that import ComfyUI: sockets, schemas, folders, memory, progress."""
