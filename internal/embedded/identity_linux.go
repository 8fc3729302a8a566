package embedded

import "syscall"

// namespaced runs the programs in a user namespace where root is a user of that number: to the files they are root's
// processes, to themselves they are not. The user has to exist, because Postgres asks for its name.
func namespaced(name string, uid, gid int) []identity {
	return []identity{{
		name: "a user namespace", uid: 0, gid: 0,
		attributes: func() *syscall.SysProcAttr {
			return tied(&syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: 0, Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: 0, Size: 1}},
			})
		},
	}}
}

// tied ends the process when the guard is killed. The guard itself needs no such thing: it has the pipe.
func tied(attr *syscall.SysProcAttr) *syscall.SysProcAttr {
	attr.Pdeathsig = immediate
	return attr
}
