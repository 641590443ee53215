"""How a store of an older Conveyor becomes one of this. Forward only: the way back is a backup."""
