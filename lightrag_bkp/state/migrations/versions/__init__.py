"""The steps, by number. One that was released is never changed."""
