"""What a service needs around a selector."""
