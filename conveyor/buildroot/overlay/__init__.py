"""The builder on overlayfs layers."""
