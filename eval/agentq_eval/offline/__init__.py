"""What a log tells without playing again: replayed choices, other critics and selectors, off-policy values."""
