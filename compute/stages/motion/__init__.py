"""Stage `motion`: from positions at several epochs to proper motions."""
