"""What `hub doctor` looks at, a file for each."""
