"""The API of Conveyor: /api/v1."""
