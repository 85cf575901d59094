"""What every app of the service leans on; holds no models."""
