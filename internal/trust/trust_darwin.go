package trust

// systemKinds are the stores of a Mac.
var systemKinds = []kind{
	{name: kindKeychain, find: findKeychain, reopen: reopenKeychain},
	{name: kindJDK, find: findJDKs, reopen: reopenJDK},
}
