"""A night as a run of MLflow. Nothing here is imported by an audit that names no server."""
