"""What a model gives away of the data it was trained on: membership, memorised text, personal data, attributes."""
