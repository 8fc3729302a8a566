//go:build programs

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The disk of the database is full when a customer pays. The event is answered 500 and
// doctor says why; with space, the payment is applied without a restart.
func TestPostgres_DiskFull(t *testing.T) {
	t.Parallel()
	dir := serverFolder(t)
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=90m,mode=0777", "tmpfs", dir).CombinedOutput()
	require.NoError(t, err, "mounting a small file system needs root: %s", out)
	t.Cleanup(func() { _ = exec.Command("umount", "--lazy", dir).Run() })
	server := newPostgresIn(t, dir)
	n := newDrill(t, situation{url: server.url("booking")})
	n.env["HOLDS_PER_EMAIL"], n.env["HOLDS_PER_ADDRESS"] = "0", "0"
	n.restart()
	// Their events need more pages than the ledger can have left.
	var held []created
	ada := newCustomer(t, n.host.base)
	for range 24 {
		held = append(held, ada.book(ada.firstSlot()))
	}
	filler := filepath.Join(dir, "filler")
	_ = exec.Command("dd", "if=/dev/zero", "of="+filler, "bs=8k").Run()
	for _, b := range held {
		go func() { _, _ = n.stripe.Pay(t.Context(), b.StripeSessionID) }()
	}
	t.Logf("seen:\n%s", lines(`"sqlstate":"53100"`)(n))
	require.Equal(t, http.StatusOK, n.get("/health/db", ""))
	said := n.doctor()
	require.Contains(t, amiss(said), "problem database-writes", said)
	require.Contains(t, said, `"Full disk"`)
	require.NoError(t, os.Remove(filler))
	n.eventually("every payment applied", func() bool {
		return n.value(`SELECT count(*) FROM booking_platform.bookings WHERE status = 'confirmed'`) == "25"
	})
	require.NotContains(t, amiss(n.doctor()), "problem database-writes")
}

// Every connection is in use; doctor does not blame DATABASE_URL.
func TestPostgres_TooManyConnections(t *testing.T) {
	t.Parallel()
	server := newPostgres(t)
	admin := server.open("postgres")
	for _, statement := range []string{
		`CREATE ROLE host LOGIN`, `ALTER DATABASE booking OWNER TO host`,
	} {
		_, err := admin.Exec(statement)
		require.NoError(t, err)
	}
	_, err := server.open("booking").Exec(`CREATE EXTENSION btree_gist`)
	require.NoError(t, err)
	n := newDrill(t, situation{url: strings.Replace(server.url("booking"), "booking@", "host@", 1)})
	_, err = admin.Exec(`ALTER DATABASE booking CONNECTION LIMIT 0`)
	require.NoError(t, err)
	n.proxy.cut()
	n.proxy.mend()
	n.examine([]string{"problem database"}, []string{"too many connections", `"Pool"`})
	_, err = admin.Exec(`ALTER DATABASE booking CONNECTION LIMIT -1`)
	require.NoError(t, err)
	n.eventually("over", func() bool { return len(amiss(n.doctor())) == 0 })
}

// A server whose certificate has expired: the host ends at once and says so.
func TestPostgres_CertificateExpired(t *testing.T) {
	t.Parallel()
	server := newPostgres(t)
	n := newDrill(t, situation{url: server.url("booking")})
	server.kill()
	certificate, key := expired(t)
	for name, content := range map[string][]byte{"server.crt": certificate, "server.key": key} {
		path := filepath.Join(server.data(), name)
		require.NoError(t, os.WriteFile(path, content, 0o600))
		if uid, gid, other := ordinary(t); other {
			require.NoError(t, os.Chown(path, int(uid), int(gid)))
		}
	}
	conf, err := os.OpenFile(filepath.Join(server.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = fmt.Fprintln(conf, "ssl = on")
	require.NoError(t, err)
	require.NoError(t, conf.Close())
	server.start()
	root := filepath.Join(t.TempDir(), "root.crt")
	require.NoError(t, os.WriteFile(root, certificate, 0o600))
	n.env["DATABASE_URL"] = strings.Replace(server.url("booking"), "sslmode=disable",
		"sslmode=verify-full&sslrootcert="+root, 1)
	n.apart()
	seen := n.start()
	t.Logf("seen:\n%s", seen)
	require.Contains(t, seen, "has expired or is not valid yet")
	n.examine([]string{"problem database"}, []string{"Renew the server's certificate"})
}

// The database hangs: each command ends and says so.
func TestPostgres_HangsCommands(t *testing.T) {
	t.Parallel()
	server := newPostgres(t)
	n := newDrill(t, situation{url: server.url("booking")})
	server.signal(syscall.SIGSTOP)
	said := n.doctor()
	require.Contains(t, amiss(said), "problem database", said)
	require.Contains(t, said, `"Database down"`)
	out, err := n.try("events", "waiting")
	require.Error(t, err)
	require.Contains(t, out, "the database does not answer")
	server.signal(syscall.SIGCONT)
	n.eventually("over", func() bool { return len(amiss(n.doctor())) == 0 })
}

// The primary of two is gone; doctor leads to the failover.
func TestFailover_DoctorNamesIt(t *testing.T) {
	t.Parallel()
	primary := newPostgres(t)
	second := primary.standby()
	n := newDrill(t, situation{url: primary.url("booking")})
	n.env["DATABASE_URL"] = fmt.Sprintf(
		"postgres://booking@/booking?host=127.0.0.1,127.0.0.1&port=%d,%d&sslmode=disable&target_session_attrs=read-write",
		primary.port, second.port)
	n.restart()
	primary.kill()
	n.examine([]string{"problem database"}, []string{`"Failover"`})
	second.promote()
	n.eventually("over", func() bool { return len(amiss(n.doctor())) == 0 })
}

// In development without a session secret, and a folder in which none can be kept: the
// host runs, and says what is lost with it; links are not renewed with a secret that ends.
func TestPostgres_SecretFolderReadOnly(t *testing.T) {
	t.Parallel()
	n := newDrill(t, situation{})
	dir := serverFolder(t)
	require.NoError(t, os.Chmod(dir, 0o555))
	require.NoError(t, os.Chmod(filepath.Dir(binary.path), 0o755))
	delete(n.env, "SESSION_SECRET")
	n.env["DATA_DIR"] = filepath.Join(dir, "data")
	n.apart()
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), binary.path, args...)
		cmd.Dir = dir
		for name, value := range n.env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		if uid, gid, other := ordinary(t); other {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid}}
		}
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	said := run("doctor")
	require.Contains(t, amiss(said), "warning session-secret", said)
	require.Contains(t, said, "Set SESSION_SECRET, or DATA_DIR to a folder that can be written to")
	require.Contains(t, run("booking", "renew-links"), "permission denied")
}
