//go:build linux

package security

import "sync"

// notes records answers, and the secrets that must not appear elsewhere.
type notes struct {
	mu      sync.Mutex
	secrets map[string]string
	said    []said
}

// said is an answer with its request.
type said struct {
	request string
	answer
}

func (n *notes) know(what string, secrets ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.secrets == nil {
		n.secrets = map[string]string{}
	}
	for _, s := range secrets {
		n.secrets[s] = what
	}
}

func (n *notes) note(request string, a answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, said{request, a})
}
