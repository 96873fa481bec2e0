"""The web app and the console command's entry point."""
