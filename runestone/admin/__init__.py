"""The operators' desk: how the admin looks, and what the pages of all apps share."""
