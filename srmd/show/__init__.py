"""The dashboard, and pictures, plots and tables for people."""
