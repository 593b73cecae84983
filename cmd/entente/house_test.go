package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The tests of this file hold the house to its plan: who may import whom, how
// large things may grow, and what has no place anywhere. An exception is
// listed by name with its reason.

// module is the import path of the project.
const module = "entente"

// house says, for each package, which packages of the project it may import
// and which libraries are its alone to import. Tests may import more.
func house() map[string][]string {
	return map[string][]string{
		"protocol":      {},
		"protocol/stix": {"protocol"},
		// It goes through what objects say, as the spec of STIX has it; who must take
		// out what is for others to know.
		"protocol/stix/redact": {"protocol/stix"},
		"policy":               {"protocol", "protocol/stix"},
		"policy/cases":         {"policy", "protocol", "protocol/stix"},
		"store":                {"protocol", "protocol/stix"},
		"node":                 {"protocol", "protocol/stix", "protocol/stix/redact", "policy", "store"},
		"node/p2p":             {"protocol"},
		"node/api":             {"node", "policy", "protocol", "protocol/stix"},
		"cmd/entente":          {"node", "node/api", "node/p2p", "policy", "policy/cases", "protocol", "protocol/stix", "protocol/stix/redact", "store", "cmd/entente/bare", "examples"},
		"cmd/entente/bare":     {},
		"examples":             {},
	}
}

// keepers names the only packages that may import a library, by the beginning
// of its path: store alone knows Badger, p2p alone knows libp2p. The bare
// machinery that the benchmark compares with is built from both.
func keepers() map[string][]string {
	return map[string][]string{
		"github.com/dgraph-io/badger":         {"store", "cmd/entente/bare"},
		"github.com/libp2p/":                  {"node/p2p", "cmd/entente/bare"},
		"github.com/spf13/":                   {"cmd/entente"},
		"github.com/goccy/go-yaml":            {"protocol", "policy/cases", "cmd/entente"}, // cases of tests are files that people write
		"github.com/fxamacker/cbor":           {"protocol", "node/p2p"},                    // frames of streams are CBOR too
		"github.com/go-json-experiment/json":  {"protocol", "protocol/stix", "policy/cases", "node", "node/api", "cmd/entente"},
		"github.com/prometheus/client_golang": {"node", "node/api", "node/p2p", "store", "cmd/entente"},
		"net/http":                            {"protocol", "node/api", "cmd/entente"},
	}
}

// nevers are imports that a package must not have at all, with the reason.
func nevers() map[string]map[string]string {
	pure := map[string]string{
		"os": "does no I/O", "net": "does no I/O", "io/ioutil": "does no I/O",
		"crypto/rand": "draws no randomness: seeds are arguments", "math/rand": "draws no randomness",
		"math/rand/v2": "draws no randomness", "log": "no package loggers", "log/slog": "no package loggers",
	}
	// Of net, stix uses the reader of hardware addresses, which does no I/O.
	reading := maps.Clone(pure)
	delete(reading, "net")
	return map[string]map[string]string{
		"protocol": pure, "protocol/stix": reading, "protocol/stix/redact": pure, "policy": pure, "policy/cases": pure,
		"node/api": {
			"entente/store": "every way out passes the node, hence policy", "entente/node/p2p": "every way out passes the node, hence policy",
		},
	}
}

// exceptions name what may be larger than the rule, with the reason.
func exceptions() map[string]string {
	return map[string]string{}
}

const (
	mostLines  = 600
	mostBody   = 80
	mostFields = 20
)

type source struct {
	pkg  string // folder from the root, with slashes
	path string
	test bool
	file *ast.File
	set  *token.FileSet
	text []byte
}

// sources parses every Go file of the checkout.
func sources(t *testing.T) []source {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []source
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "testdata") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		out = append(out, source{
			pkg: filepath.ToSlash(filepath.Dir(rel)), path: filepath.ToSlash(rel), test: strings.HasSuffix(name, "_test.go"),
			file: file, set: set, text: text,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d Go files found under %s: the walk is broken", len(out), root)
	}
	return out
}

func TestHouseImports(t *testing.T) {
	allowed, keep, never := house(), keepers(), nevers()
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		mine, known := allowed[s.pkg]
		if !known {
			t.Errorf("%s: the package %s is not in the table of the house: give it a line with what it may import", s.path, s.pkg)
			continue
		}
		for _, imp := range s.file.Imports {
			path, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if inner, ok := strings.CutPrefix(path, module+"/"); ok && !slices.Contains(mine, inner) {
				t.Errorf("%s imports %s, which the house does not allow %s", s.path, path, s.pkg)
			}
			for prefix, owners := range keep {
				if strings.HasPrefix(path, prefix) && !slices.Contains(owners, s.pkg) {
					t.Errorf("%s imports %s, which only %s may", s.path, path, strings.Join(owners, ", "))
				}
			}
			if reason := never[s.pkg][path]; reason != "" {
				t.Errorf("%s imports %s: %s %s", s.path, path, s.pkg, reason)
			}
		}
	}
}

func TestHouseNames(t *testing.T) {
	for _, s := range sources(t) {
		base := s.pkg[strings.LastIndex(s.pkg, "/")+1:]
		if slices.Contains([]string{"util", "utils", "common", "helpers", "helper", "types", "misc", "base"}, base) {
			t.Errorf("%s: a package is named for what it holds, not %q", s.path, base)
		}
	}
}

func TestHouseSizes(t *testing.T) {
	spared := exceptions()
	used := map[string]bool{}
	spare := func(name string) bool {
		_, ok := spared[name]
		used[name] = used[name] || ok
		return ok
	}
	for _, s := range sources(t) {
		if lines := strings.Count(string(s.text), "\n"); lines > mostLines && !spare(s.path) {
			t.Errorf("%s has %d lines; %d are the most", s.path, lines, mostLines)
		}
		if s.test {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				lines := s.set.Position(n.End()).Line - s.set.Position(n.Pos()).Line + 1
				if name := s.pkg + "." + n.Name.Name; lines > mostBody && !spare(name) {
					t.Errorf("%s: %s has %d lines; %d are the most", s.set.Position(n.Pos()), name, lines, mostBody)
				}
			case *ast.TypeSpec:
				st, ok := n.Type.(*ast.StructType)
				if !ok {
					return true
				}
				if name := s.pkg + "." + n.Name.Name; st.Fields.NumFields() > mostFields && !spare(name) {
					t.Errorf("%s: %s has %d fields; %d are the most", s.set.Position(n.Pos()), name, st.Fields.NumFields(), mostFields)
				}
			}
			return true
		})
	}
	for name := range maps.Keys(spared) {
		if !used[name] {
			t.Errorf("the exception for %s is not needed any more", name)
		}
	}
}

// TestHouseState finds init functions and package variables that change.
func TestHouseState(t *testing.T) {
	variables := map[string]map[string]token.Position{}
	all := sources(t)
	for _, s := range all {
		if s.test {
			continue
		}
		for _, d := range s.file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Name.Name == "init" && d.Recv == nil {
					t.Errorf("%s: no init functions", s.set.Position(d.Pos()))
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				for _, spec := range d.Specs {
					for _, name := range spec.(*ast.ValueSpec).Names {
						if variables[s.pkg] == nil {
							variables[s.pkg] = map[string]token.Position{}
						}
						variables[s.pkg][name.Name] = s.set.Position(name.Pos())
					}
				}
			}
		}
	}
	for _, s := range all {
		if s.test {
			continue
		}
		for name, at := range assigned(s.file) {
			if _, global := variables[s.pkg][name]; global {
				t.Errorf("%s: the package variable %s is written to; state belongs to a value with an owner", s.set.Position(at), name)
			}
		}
	}
}

// assigned returns the names that a file writes to without declaring them in
// the same function: package variables, if there are any of that name.
func assigned(f *ast.File) map[string]token.Pos {
	out := map[string]token.Pos{}
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil {
			continue
		}
		local := map[string]bool{}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok == token.DEFINE {
					for _, e := range n.Lhs {
						if id, ok := e.(*ast.Ident); ok {
							local[id.Name] = true
						}
					}
				}
			case *ast.ValueSpec:
				for _, id := range n.Names {
					local[id.Name] = true
				}
			case *ast.RangeStmt:
				for _, e := range []ast.Expr{n.Key, n.Value} {
					if id, ok := e.(*ast.Ident); ok && n.Tok == token.DEFINE {
						local[id.Name] = true
					}
				}
			case *ast.Field:
				for _, id := range n.Names {
					local[id.Name] = true
				}
			}
			return true
		})
		write := func(e ast.Expr) {
			for {
				switch x := e.(type) {
				case *ast.IndexExpr:
					e = x.X
					continue
				case *ast.SelectorExpr:
					e = x.X
					continue
				case *ast.StarExpr:
					e = x.X
					continue
				case *ast.Ident:
					if !local[x.Name] && x.Name != "_" {
						out[x.Name] = x.Pos()
					}
				}
				return
			}
		}
		ast.Inspect(fn, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				if n.Tok != token.DEFINE {
					for _, e := range n.Lhs {
						write(e)
					}
				}
			case *ast.IncDecStmt:
				write(n.X)
			}
			return true
		})
	}
	return out
}

// TestHouseDocs finds exported names without a comment and packages without one.
func TestHouseDocs(t *testing.T) {
	documented := map[string]bool{}
	packages := map[string]bool{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		packages[s.pkg] = true
		if s.file.Doc != nil && len(s.file.Doc.Text()) > 40 {
			documented[s.pkg] = true
		}
		for _, d := range s.file.Decls {
			for _, fault := range undocumented(d) {
				t.Errorf("%s: %s has no comment", s.set.Position(d.Pos()), fault)
			}
		}
	}
	for p := range packages {
		if !documented[p] {
			t.Errorf("the package %s has no comment that teaches", p)
		}
	}
}

func undocumented(d ast.Decl) []string {
	var out []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
			out = append(out, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				if spec.Name.IsExported() && d.Doc == nil && spec.Doc == nil {
					out = append(out, spec.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range spec.Names {
					if n.IsExported() && d.Doc == nil && spec.Doc == nil && spec.Comment == nil {
						out = append(out, n.Name)
					}
				}
			}
		}
	}
	return out
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	e := d.Recv.List[0].Type
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if index, ok := e.(*ast.IndexExpr); ok {
		e = index.X
	}
	id, ok := e.(*ast.Ident)
	return ok && id.IsExported()
}

// TestHouseClock finds sleeping tests, and clocks in packages that have none.
func TestHouseClock(t *testing.T) {
	timeless := []string{"protocol", "protocol/stix", "protocol/stix/redact", "policy", "policy/cases"}
	for _, s := range sources(t) {
		ast.Inspect(s.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := sel.X.(*ast.Ident)
			if !ok || pkg.Name != "time" {
				return true
			}
			if s.test && sel.Sel.Name == "Sleep" {
				t.Errorf("%s: no test sleeps; wait for what should happen", s.set.Position(n.Pos()))
			}
			if !s.test && slices.Contains(timeless, s.pkg) && slices.Contains([]string{"Now", "Since", "Until", "After", "Tick", "NewTimer"}, sel.Sel.Name) {
				t.Errorf("%s: %s reads no clock; time is an argument", s.set.Position(n.Pos()), s.pkg)
			}
			return true
		})
	}
}

// TestHouseTop holds the top level to what was fixed for it.
func TestHouseTop(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	fixed := []string{"cmd", "node", "protocol", "store", "policy", "examples", "go.mod", "go.sum", "README.md", "LICENSE"}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(fixed, e.Name()) {
			t.Errorf("%s has no place at the top level; there are only %s", e.Name(), strings.Join(fixed, ", "))
		}
	}
}
