"""What others read: SegPET's images in the standards' forms."""
