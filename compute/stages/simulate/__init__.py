"""Stage `simulate`: skies with known truth, as the files that telescopes deliver."""
