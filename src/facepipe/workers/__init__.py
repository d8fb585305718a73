"""Where spans are worked on: an executor's protocol, this machine's, and jobs that can resume."""
