"""`/admin/…`: what operators see and do, in JSON of our own."""
