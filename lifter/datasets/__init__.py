"""What the lifter learns from and is measured on: recordings of people by several cameras, and motion to project."""
