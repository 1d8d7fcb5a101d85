package watch_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docent-io/docent/internal/wire"
	"github.com/docent-io/docent/server/internal/watch"
)

const (
	created  = wire.EventCreated
	deleted  = wire.EventDeleted
	changed  = wire.EventDataChanged
	children = wire.EventChildrenChanged
)

// fire returns who got the event, sorted.
func fire(t testing.TB, table *watch.Table[string], typ wire.EventType, path string) []string {
	t.Helper()
	var got []string
	table.Fire(typ, path, func(w string, gotType wire.EventType, gotPath string) {
		if gotType != typ || gotPath != path {
			t.Errorf("delivered %v %s, fired %v %s", gotType, gotPath, typ, path)
		}
		got = append(got, w)
	})
	slices.Sort(got)
	return got
}

// Who gets what, and what is left afterwards: §6.2.
func TestFire(t *testing.T) {
	all := []watch.Kind{watch.Data, watch.Child, watch.Persistent, watch.Recursive}
	names := map[watch.Kind]string{watch.Data: "data", watch.Child: "child", watch.Persistent: "persistent", watch.Recursive: "recursive"}
	for _, c := range []struct {
		typ       wire.EventType
		path      string // the watches are on /a/b
		got, left string
	}{
		{created, "/a/b", "data persistent recursive", "child persistent recursive"},
		{changed, "/a/b", "data persistent recursive", "child persistent recursive"},
		{deleted, "/a/b", "child data persistent recursive", "persistent recursive"},
		{children, "/a/b", "child persistent", "data persistent recursive"}, // trap 15: no type 4 to recursive ones
		{created, "/a/b/c", "recursive", "child data persistent recursive"},
		{changed, "/a/b/c/d", "recursive", "child data persistent recursive"},
		{deleted, "/a/b/c", "recursive", "child data persistent recursive"},
		{children, "/a/b/c", "", "child data persistent recursive"},
		{deleted, "/a", "", "child data persistent recursive"},
		{children, "/a", "", "child data persistent recursive"},
		{created, "/a/bb", "", "child data persistent recursive"},
		{created, "/a/b0", "", "child data persistent recursive"},
		{changed, "/", "", "child data persistent recursive"},
		{wire.EventNone, "/a/b", "", "child data persistent recursive"},
	} {
		table := watch.New[string]()
		for _, k := range all {
			table.Add(names[k], "/a/b", k, 1<<30)
			table.Add(names[k], "/a/b", k, 1<<30) // once more is the same
		}
		if got := strings.Join(fire(t, table, c.typ, c.path), " "); got != c.got {
			t.Errorf("%v of %s was delivered to %q, want %q", c.typ, c.path, got, c.got)
		}
		var left []string
		for _, k := range all {
			if table.Check(names[k], "/a/b", wire.WatcherAny) {
				left = append(left, names[k])
			}
		}
		slices.Sort(left)
		if got := strings.Join(left, " "); got != c.left {
			t.Errorf("%v of %s left %q, want %q", c.typ, c.path, got, c.left)
		}
	}
}

// Trap 14: one deletion for data and child watch together. Trap 16: kinds stack, a one-shot leaves the others alone.
func TestFire_Trap14_Trap16_OneCopyEach(t *testing.T) {
	table := watch.New[string]()
	for _, k := range []watch.Kind{watch.Data, watch.Child, watch.Persistent, watch.Recursive} {
		table.Add("w", "/a/b", k, 1<<30)
	}
	table.Add("w", "/a", watch.Recursive, 1<<30)
	table.Add("w", "/", watch.Recursive, 1<<30)
	for _, typ := range []wire.EventType{created, changed, deleted, deleted, children, created} {
		if got := fire(t, table, typ, "/a/b"); len(got) != 1 {
			t.Errorf("%v was delivered %d times", typ, len(got))
		}
	}
	for typ, want := range map[wire.WatcherType]bool{
		wire.WatcherData: false, wire.WatcherChildren: false, wire.WatcherPersistent: true, wire.WatcherRecursive: true,
	} {
		if got := table.Check("w", "/a/b", typ); got != want {
			t.Errorf("Check(%d) = %v, want %v", typ, got, want)
		}
	}
	if got := fire(t, table, created, "/x/y/z"); len(got) != 1 { // recursive on the root covers everything
		t.Errorf("the root's recursive watch got %v", got)
	}
}

// §6.5: 1 and 2 touch one-shot watches only, 4 and 5 their mode only, 3 everything at the path.
func TestRemove_Trap19(t *testing.T) {
	kinds := []watch.Kind{watch.Child, watch.Data, watch.Persistent, watch.Recursive}
	one := []wire.WatcherType{wire.WatcherChildren, wire.WatcherData, wire.WatcherPersistent, wire.WatcherRecursive}
	for i, k := range kinds {
		for j, typ := range append(one, wire.WatcherAny) {
			table := watch.New[string]()
			table.Add("w", "/a", k, 1<<30)
			table.Add("other", "/a", k, 1<<30)
			want := i == j || typ == wire.WatcherAny
			if got := table.Check("w", "/a", typ); got != want {
				t.Errorf("Check(%d) with kind %d = %v, want %v", typ, k, got, want)
			}
			if got := table.Remove("w", "/a", typ); got != want {
				t.Errorf("Remove(%d) with kind %d = %v, want %v", typ, k, got, want)
			}
			if got := table.Check("w", "/a", wire.WatcherAny); got == want {
				t.Errorf("Remove(%d) with kind %d: left is %v", typ, k, got)
			}
			if !table.Check("other", "/a", typ) && want {
				t.Error("another one's watch was removed")
			}
		}
	}
	table := watch.New[string]()
	table.Add("w", "/a/b", watch.Recursive, 1<<30)
	for _, path := range []string{"/a", "/a/b/c", "/a/b/"} {
		if table.Check("w", path, wire.WatcherAny) || table.Remove("w", path, wire.WatcherAny) {
			t.Errorf("a watch at /a/b was found at %s", path)
		}
	}
	if table.Check("w", "/a/b", 6) || table.Remove("w", "/a/b", 0) {
		t.Error("an unknown type matched")
	}
}

// Trap 20: watches end with the connection.
func TestDrop_Trap20(t *testing.T) {
	table := watch.New[string]()
	for i := range 100 {
		table.Add("w", fmt.Sprint("/", i), watch.Data|watch.Recursive, 1<<30)
		table.Add("v", fmt.Sprint("/", i), watch.Child, 1<<30)
	}
	if table.Len("w") != 100 || table.Counts().Watches != 300 {
		t.Errorf("Len = %d, Counts = %+v", table.Len("w"), table.Counts())
	}
	table.Drop("w")
	table.Drop("nobody")
	if table.Len("w") != 0 || table.Len("v") != 100 || table.Watches() != 100 {
		t.Errorf("after Drop: %d and %d paths, %d watches", table.Len("w"), table.Len("v"), table.Watches())
	}
	if got := fire(t, table, deleted, "/7"); !slices.Equal(got, []string{"v"}) {
		t.Errorf("delivered to %v", got)
	}
}

func TestCounts(t *testing.T) {
	table := watch.New[string]()
	table.Add("v", "/b", watch.Data, 1<<30)
	table.Add("v", "/a", watch.Persistent, 1<<30)
	table.Add("w", "/a", watch.Recursive, 1<<30)
	table.Add("u", "/c", watch.Child, 1<<30)
	if got, want := table.Counts(), (watch.Counts{Watches: 5, DataWatchers: 2, DataPaths: 2, DataWatches: 3}); got != want {
		t.Errorf("Counts = %+v, want %+v", got, want)
	}
	if table.Watches() != 5 {
		t.Errorf("Watches = %d", table.Watches())
	}
	var paths []string
	for path, watchers := range table.ByPath() {
		slices.Sort(watchers)
		paths = append(paths, fmt.Sprint(path, watchers))
		table.Add("w", "/new", watch.Data, 1<<30) // the range holds no lock
	}
	if got := strings.Join(paths, " "); got != "/a[v w] /b[v]" {
		t.Errorf("ByPath: %s", got)
	}
	table.Remove("w", "/new", wire.WatcherAny)
	got := maps.Collect(table.ByWatcher())
	if fmt.Sprint(got) != "map[v:[/a /b] w:[/a]]" {
		t.Errorf("ByWatcher: %v", got)
	}
	for range table.ByPath() {
		break
	}
	for range table.ByWatcher() {
		break
	}
}

// model is ZooKeeper's two tables, as naively as can be.
type model map[[2]string]watch.Kind // by watcher and path

func (m model) fire(typ wire.EventType, path string) []string {
	got := make(map[string]bool)
	for key, has := range m {
		at := key[1] == path
		below := at || key[1] == "/" || strings.HasPrefix(path, key[1]+"/")
		data, child := typ != children, typ == children || typ == deleted
		if at && (data && has&watch.Data != 0 || child && has&watch.Child != 0 || has&watch.Persistent != 0) ||
			below && data && has&watch.Recursive != 0 {
			got[key[0]] = true
		}
		if at && data {
			has &^= watch.Data
		}
		if at && child {
			has &^= watch.Child
		}
		if m[key] = has; has == 0 {
			delete(m, key)
		}
	}
	return slices.Sorted(maps.Keys(got))
}

func TestTable_AgainstModel(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 3))
		table, m := watch.New[string](), model{}
		for range 2000 {
			path, w := "", string(rune('u'+r.IntN(4)))
			for range r.IntN(4) {
				path += "/" + string(rune('a'+r.IntN(2)))
			}
			if path == "" {
				path = "/"
			}
			key := [2]string{w, path}
			switch k := r.IntN(10); {
			case k < 5:
				kind := watch.Kind(1 << r.IntN(4))
				table.Add(w, path, kind, 1<<30)
				m[key] |= kind
			case k < 6:
				if got := table.Remove(w, path, wire.WatcherAny); got != (m[key] != 0) {
					t.Fatalf("Remove(%v) = %v", key, got)
				}
				delete(m, key)
			case k < 7 && r.IntN(5) == 0:
				table.Drop(w)
				maps.DeleteFunc(m, func(key [2]string, _ watch.Kind) bool { return key[0] == w })
			default:
				typ := []wire.EventType{created, deleted, changed, children}[r.IntN(4)]
				if got, want := fire(t, table, typ, path), m.fire(typ, path); !slices.Equal(got, want) {
					t.Fatalf("%v of %s was delivered to %v, want %v", typ, path, got, want)
				}
			}
			watches := 0
			for _, has := range m {
				for _, k := range []watch.Kind{watch.Data, watch.Child, watch.Persistent, watch.Persistent, watch.Recursive} {
					if has&k != 0 {
						watches++
					}
				}
			}
			if got := table.Watches(); got != watches {
				t.Fatalf("%d watches, want %d", got, watches)
			}
		}
	}
}

// Connections register, fire and vanish at once; the race detector watches, and nothing is left in the end.
func TestTable_AtOnce(t *testing.T) {
	table := watch.New[int]()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 4))
			for range 500 {
				path := fmt.Sprint("/", r.IntN(5))
				table.Add(w, path, watch.Kind(1<<r.IntN(4)), 1<<30)
				table.Fire(deleted, path+"/x", func(int, wire.EventType, string) {})
				table.Remove(w, path, wire.WatcherType(1+r.IntN(5)))
				table.Counts()
			}
			table.Drop(w)
		})
	}
	wg.Wait()
	if got := table.Counts(); got != (watch.Counts{}) {
		t.Errorf("left: %+v", got)
	}
}

// BenchmarkFire_Nobody is what every write costs when nobody watches.
func BenchmarkFire_Nobody(b *testing.B) {
	for _, recursive := range []bool{false, true} {
		b.Run(fmt.Sprintf("recursive=%v", recursive), func(b *testing.B) {
			table := watch.New[int]()
			for i := range 100_000 {
				table.Add(i, fmt.Sprintf("/other/n%07d", i), watch.Data, 1<<30)
			}
			if recursive {
				table.Add(1, "/elsewhere", watch.Recursive, 1<<30)
			}
			b.ReportAllocs()
			for b.Loop() {
				table.Fire(changed, "/bench/a/n0000001", func(int, wire.EventType, string) {})
			}
		})
	}
}

// BenchmarkFire_All is one change that 100,000 wait for.
func BenchmarkFire_All(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		table := watch.New[int]()
		for i := range n {
			table.Add(i, "/a", watch.Data, 1<<30)
		}
		b.StartTimer()
		got := 0
		table.Fire(changed, "/a", func(int, wire.EventType, string) { got++ })
		if got != n {
			b.Fatalf("%d were told", got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/watch")
}

// BenchmarkAdd is the registration of one-shot watches, ten each by many connections; it reports the memory they hold.
func BenchmarkAdd(b *testing.B) {
	paths := make([]string, 100_000)
	for i := range paths {
		paths[i] = fmt.Sprintf("/locks/n%07d", i)
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	var table *watch.Table[int]
	for b.Loop() {
		table = watch.New[int]()
		for i, path := range paths {
			table.Add(i/10, path, watch.Data, 1<<30)
		}
	}
	b.ReportMetric(float64(heap()-before)/float64(len(paths)), "B/watch")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(paths)), "ns/watch")
	runtime.KeepAlive(table)
}
