package main

import "runtime/debug"

// comeToRest gives back the memory that only the start has used: the garbage of
// reading files and looking at trust stores, and the pages of the program itself
// that ran once. What is needed again comes back by itself.
func comeToRest() {
	giveBackGarbage()
	releaseProgram()
}

// giveBackGarbage is for what leaves more garbage behind than a server at rest
// would collect for hours: reading a file of thousands of routes takes ten times
// their memory.
func giveBackGarbage() { debug.FreeOSMemory() }
