"""The page in the browser: a picture restored with settings that are chosen by eye."""
