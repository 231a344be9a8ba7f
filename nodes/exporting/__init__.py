"""Sessions as files of other programs: tables, markers, animated skeletons."""
