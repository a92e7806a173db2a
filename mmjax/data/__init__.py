"""From files to batches, on the host and in numpy.

datasets     where examples come from: Manifest, Records, Arrays, Tfds, Digits, rows given by hand
records      rows packed into sharded files that carry their own pictures and recordings
fields       kinds of columns, and how each becomes an array
tokenizers   texts to numbers
transforms   what training does to an example
schema       all fields of a data set, fitted
examples     rows read by a schema
given        one example by its parts
order        which example stands where in an endless stream
joined       several data sets as one
packing      which examples share a row
shared       examples that share rows
bucketed     examples in batches of their own length
worker       batches made in other processes
pipeline     batches: endless and shuffled, or once through
sources      manifests in four formats
"""
