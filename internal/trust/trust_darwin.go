package trust

// systemKinds are the stores of a Mac.
var systemKinds = []kind{
	{kindKeychain, findKeychain, reopenKeychain},
	{kindJDK, findJDKs, reopenJDK},
}
