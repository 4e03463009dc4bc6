"""What a simulated sky, telescope and detector do to light; nothing here is shared with the code that measures."""
