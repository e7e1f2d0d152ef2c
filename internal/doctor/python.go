package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// pythonTime bounds the question to a Python. It takes 0.1 s with pyenv.
const pythonTime = 2 * time.Second

// A Python is where one looks for roots when no variable says otherwise.
type Python struct {
	File string `json:"file"` // OpenSSL's
	Dir  string `json:"dir"`

	// Certifi is the list that requests reads; "" if requests is not installed.
	Certifi string `json:"certifi"`
}

// pythonScript is run isolated (-I), so that nothing in the working directory
// runs, and writes no bytecode (-B). The places where a person's own packages
// are have to be added again then.
const pythonScript = `import json, os, site, ssl, sys
p = ssl.get_default_verify_paths()
sys.path[:0] = [d for d in os.environ.get("PYTHONPATH", "").split(os.pathsep) if os.path.isabs(d)]
if site.ENABLE_USER_SITE is not None and not os.environ.get("PYTHONNOUSERSITE") and sys.prefix == sys.base_prefix:
    sys.path.insert(1, site.getusersitepackages())
certifi = ""
import importlib.util
for name in [n for n in sys.modules if n.split(".")[0] == "certifi"]:
    del sys.modules[name] # whatever a .pth file found on the shorter path
if importlib.util.find_spec("requests"):
    from certifi import where
    certifi = where()
print(json.dumps({"file": p.openssl_cafile, "dir": p.openssl_capath, "certifi": certifi}))
`

// AskPython asks a Python where it looks for roots. It gives up after two
// seconds. env is the environment that the Python is given, as in exec.Cmd.
func AskPython(ctx context.Context, program string, env []string) (Python, error) {
	ctx, cancel := context.WithTimeout(ctx, pythonTime)
	defer cancel()
	var out bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "-I", "-B", "-c", pythonScript)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = &out, io.Discard
	cmd.WaitDelay = time.Second / 4
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return Python{}, errors.New("it did not answer in time")
		}
		return Python{}, err
	}
	var p Python
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		return Python{}, fmt.Errorf("its answer is not understood: %v", err)
	}
	return p, nil
}
