package embedded

import "syscall"

// identities is whoever started us. An elevated console cannot run Postgres, which says
// so itself.
func identities(string) ([]identity, error) {
	return []identity{{name: "this user",
			attributes: func() *syscall.SysProcAttr { return &syscall.SysProcAttr{HideWindow: true} }, uid: -1,
			gid: -1}},
		nil
}

func letIn(string) (func(), error) { return func() {}, nil }

func (c *cluster) own() error { return nil }

// removeStale leaves it to Postgres, because a lock is not inherited here.
func removeStale(string) error { return nil }

// apart keeps a console's Ctrl-C from the guard.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP, HideWindow: true}
}
