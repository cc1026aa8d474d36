"""What every room uses: errors, registries, frozen descriptions, metrics, text, validation. It knows no other room."""
