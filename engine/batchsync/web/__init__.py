"""The page of `batchsync serve --page`, and its server.

The state of the jobs enters, read from the journal by connections of the page's own; HTML, exports and a stream of
events leave. What a form asks for is handed to the loop of `serve`: nothing here changes the state or calls a vendor.
"""
