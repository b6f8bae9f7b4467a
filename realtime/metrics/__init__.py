"""What is measured of a gateway."""
