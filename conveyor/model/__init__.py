"""The words of Conveyor as frozen values. Standard library only, no I/O, no clock."""
