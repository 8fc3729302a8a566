//go:build unix

package embedded_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/booking-platform/booking-platform/internal/embedded"
	"github.com/stretchr/testify/require"
)

func TestOnMachine_PathThenNewest(t *testing.T) {
	t.Parallel()
	root := open(t)
	install := func(folder, version string, names ...string) string {
		folder = filepath.Join(root, folder)
		require.NoError(t, os.MkdirAll(folder, 0o755))
		for _, name := range names {
			// Written by another process: a program cannot be run while any process, such
			// as one that another test is about to start, has it open for writing.
			write := exec.Command("/bin/sh", "-c",
				`printf '#!/bin/sh\necho "postgres (PostgreSQL) %s"\n' "$1" >"$2" && chmod 755 "$2"`, "sh", version,
				filepath.Join(folder, name))
			out, err := write.CombinedOutput()
			require.NoError(t, err, string(out))
		}
		return folder
	}
	onPath := install("path", "14.9", "postgres", "initdb")
	nine := install("lib/9/bin", "9.6.24", "postgres", "initdb")
	sixteen := install("lib/16/bin", "16.3 (Debian 16.3-1)", "postgres", "initdb")
	beta := install("lib/18/bin", "18beta1", "postgres", "initdb")
	install("lib/17/bin", "17.1", "postgres")
	client := install("client", "17.1", "psql", "pg_config")
	require.NoError(t, os.Symlink(sixteen, filepath.Join(root, "link")))

	path := client + ":relative::" + filepath.Join(root, "missing") + ":" + onPath + ":" + filepath.Join(root, "link")
	require.Equal(t, []string{onPath, filepath.Join(root, "link"), beta, nine},
		embedded.OnMachine(t.Context(), path, filepath.Join(root, "lib/*/bin"), filepath.Join(root, "nothing/*")),
		"18 before 9, each folder once, and none without initdb")
}

func TestStart_DataOfAnotherVersion(t *testing.T) {
	t.Parallel()
	dir := open(t)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "data"), 0o700))
	version := filepath.Join(dir, "data", "PG_VERSION")
	require.NoError(t, os.WriteFile(version, []byte("99\n"), 0o600))
	_, err := embedded.Start(t.Context(), dir, embedded.Options{})
	require.ErrorContains(t, err, "the data in "+dir+" was made by Postgres 99, which is needed to run it: ")
	require.ErrorContains(t, err, "install Postgres 99, or choose another folder (DATA_DIR)")

	require.NoError(t, os.WriteFile(version, []byte("my notes\n"), 0o600))
	_, err = embedded.Start(t.Context(), dir, embedded.Options{})
	require.ErrorContains(t, err, "what is in "+dir+" is no Postgres data")
}

// fetching uses fetched programs, in an empty home.
func fetching(t *testing.T, home, repository string) *running {
	t.Helper()
	opts := embedded.Options{Ephemeral: true, Programs: embedded.Fetched, Repository: repository}
	return spawn(t, life{Opts: opts}, nil, "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
}

func TestFetch_Once(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	// As root: programs where the server may not look.
	require.NoError(t, os.Chmod(home, 0o700))
	host := fetching(t, home, source.URL)
	require.Empty(t, host.Error)
	require.True(t, strings.HasPrefix(host.Programs, home), host.Programs)
	remember(t, host.URL, 0)
	source.Close()
	again := fetching(t, home, source.URL)
	require.Empty(t, again.Error)
	remember(t, again.URL, 0)
	require.EqualValues(t, 1, source.downloads.Load())
	require.Len(t, listing(t, filepath.Dir(filepath.Dir(host.Programs))), 2,
		"the programs and the lock, and nothing that was left over")
}

func TestFetch_Concurrent(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	t.Run("group", func(t *testing.T) {
		for range 4 {
			t.Run("one", func(t *testing.T) {
				t.Parallel()
				host := fetching(t, home, source.URL)
				require.Empty(t, host.Error)
				remember(t, host.URL, 0)
			})
		}
	})
	require.EqualValues(t, 1, source.downloads.Load())
}

// A bad download does not affect the next one.
func TestFetch_BadDownload(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	good := *source.jar.Load()
	archive := tarOf(t, runnable(t))
	broken := runnable(t)
	broken["bin/postgres"] = "#!/bin/sh\necho wrong machine >&2\nexit 126\n"
	lacking := runnable(t)
	delete(lacking, "bin/initdb")

	serve := func(h http.HandlerFunc) { source.handle.Store(&h) }
	for name, prepare := range map[string]func(){
		"not there":   func() { serve(http.NotFound) },
		"not a jar":   func() { source.jar.Store(ptr([]byte("<html>login</html>"))) },
		"flipped":     func() { source.jar.Store(ptr(bytes.Replace(good, []byte("exec"), []byte("exic"), 1))) },
		"cut inside":  func() { source.jar.Store(ptr(jarWith(t, xz(archive)[:len(archive)/2]))) },
		"cut outside": func() { source.jar.Store(ptr(good[:len(good)/2])) },
		"cut by the network": func() {
			serve(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", strconv.Itoa(len(good)))
				_, _ = w.Write(good[:len(good)/2])
			})
		},
		"another checksum": func() {
			serve(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, ".sha256") {
					_, _ = w.Write([]byte(strings.Repeat("0", 64)))
					return
				}
				_, _ = w.Write(good)
			})
		},
		"does not run": func() { source.jar.Store(ptr(jarOf(t, tarOf(t, broken)))) },
		"lacks initdb": func() { source.jar.Store(ptr(jarOf(t, tarOf(t, lacking)))) },
	} {
		source.handle.Store(nil)
		prepare()
		host := fetching(t, home, source.URL)
		require.NotEmpty(t, host.Error, name)
		require.Contains(t, host.Error, "none could be fetched", name)
		require.Contains(t, host.Error, "STORAGE_DRIVER=db", name)
	}
	source.handle.Store(nil)
	source.jar.Store(&good)
	host := fetching(t, home, source.URL)
	require.Empty(t, host.Error)
	remember(t, host.URL, 0)
}

func TestFetch_NoServer(t *testing.T) {
	t.Parallel()
	source := newRepository(t)
	source.Close()
	require.Contains(t, fetching(t, open(t), source.URL).Error, "unable to connect to "+source.URL)
}

func TestFetch_Stalled(t *testing.T) {
	t.Parallel()
	home, source := open(t), newRepository(t)
	var stall http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	source.handle.Store(&stall)
	host := spawn(t, life{Opts: embedded.Options{Ephemeral: true, Programs: embedded.Fetched, Repository: source.URL},
		Patience: time.Second},
		nil, "HOME="+home, "XDG_CACHE_HOME="+home)
	require.Contains(t, host.Error, context.DeadlineExceeded.Error())
	// The download has ended with its parent's patience.
	source.handle.Store(nil)
	next := spawn(t, life{Opts: embedded.Options{Ephemeral: true, Programs: embedded.Fetched, Repository: source.URL}},
		nil, "HOME="+home, "XDG_CACHE_HOME="+home)
	require.Empty(t, next.Error)
}

func ptr(b []byte) *[]byte { return &b }

func listing(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// repository is a Maven repository.
type repository struct {
	*httptest.Server
	jar atomic.Pointer[[]byte]
	// handle replaces the answers, if set.
	handle    atomic.Pointer[http.HandlerFunc]
	downloads atomic.Int64
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	jar := jarOf(t, tarOf(t, runnable(t)))
	r.jar.Store(&jar)
	return r
}

func (r *repository) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if h := r.handle.Load(); h != nil {
		(*h)(w, req)
		return
	}
	if !strings.HasPrefix(req.URL.Path, "/io/zonky/test/postgres/embedded-postgres-binaries-") {
		http.NotFound(w, req)
		return
	}
	jar := *r.jar.Load()
	switch {
	case strings.HasSuffix(req.URL.Path, ".jar"):
		r.downloads.Add(1)
		_, _ = w.Write(jar)
	case strings.HasSuffix(req.URL.Path, ".jar.sha256"):
		sum := sha256.Sum256(jar)
		_, _ = w.Write([]byte(hex.EncodeToString(sum[:])))
	}
}

// runnable executes this machine's programs.
func runnable(t *testing.T) map[string]string {
	t.Helper()
	folder, err := embedded.Folder(t.Context())
	require.NoError(t, err)
	files := map[string]string{}
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		files["bin/"+name] = "#!/bin/sh\nexec '" + filepath.Join(folder, name) + "' \"$@\"\n"
	}
	return files
}

func tarOf(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755}))
	for name, content := range files {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755,
			Size: int64(len(content))}))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}

func jarOf(t *testing.T, archive []byte) []byte { return jarWith(t, xz(archive)) }

func jarWith(t *testing.T, txz []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	// Stored, so that the checksums find a flipped byte, not the decompressor.
	file, err := w.CreateHeader(&zip.FileHeader{Name: "postgres-any.txz", Method: zip.Store})
	require.NoError(t, err)
	_, err = file.Write(txz)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

// xz writes an .xz file without compression, which the standard library cannot:
// https://tukaani.org/xz/xz-file-format.txt.
func xz(data []byte) []byte {
	// The only check that the standard library has, too.
	flags := []byte{0, 1}
	header := []byte{2, 0, 0x21, 1, 0x16, 0, 0, 0} // One filter, LZMA2, with a dictionary of 8 MiB.
	var out, block, index bytes.Buffer
	out.WriteString("\xfd7zXZ\x00")
	out.Write(flags)
	out.Write(sum(flags))

	block.Write(header)
	block.Write(sum(header))
	control := byte(1) // The first chunk resets the dictionary.
	for rest := data; len(rest) > 0; control = 2 {
		chunk := rest[:min(len(rest), 1<<16)]
		rest = rest[len(chunk):]
		block.WriteByte(control)
		_ = binary.Write(&block, binary.BigEndian, uint16(len(chunk)-1))
		block.Write(chunk)
	}
	block.WriteByte(0)
	unpadded := block.Len() + crc32.Size
	pad(&block)
	block.Write(sum(data))
	out.Write(block.Bytes())

	index.Write([]byte{0, 1})
	index.Write(binary.AppendUvarint(nil, uint64(unpadded)))
	index.Write(binary.AppendUvarint(nil, uint64(len(data))))
	pad(&index)
	index.Write(sum(index.Bytes()))
	out.Write(index.Bytes())

	footer := binary.LittleEndian.AppendUint32(nil, uint32(index.Len()/4-1))
	footer = append(footer, flags...)
	out.Write(sum(footer))
	out.Write(footer)
	out.WriteString("YZ")
	return out.Bytes()
}

func sum(data []byte) []byte { return binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(data)) }

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
