"""Why anything is as it is: the same words for people, programs and pages."""
