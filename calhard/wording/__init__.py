"""How names, numbers and instants are told, wherever calhard speaks to a person."""
