"""Clean roots: layers, the sandbox, and the builders."""
