"""What people look at: sheets, reports, galleries and comparisons of faces before and after."""
