package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"entente/policy"
	"entente/protocol"
	"entente/protocol/stix"
)

// maxSample bounds a file of sample objects, in bytes.
const maxSample = 16 << 20

// object is what a case is about, in one of three forms.
type object struct {
	place *token.Token // nil: not given
	short *short
	whole []byte // one STIX object as JSON
	file  word   // NAME#ID
}

// short describes an object by what clauses ask of it, and nothing else. A field
// that is added here is used in subject, below.
type short struct {
	Type       word  `yaml:"type"`
	Marking    word  `yaml:"marking"`
	Classes    words `yaml:"classes"`
	PAP        word  `yaml:"pap"`
	Confidence word  `yaml:"confidence"`
	Context    word  `yaml:"context"`
	Modified   word  `yaml:"modified"`
}

// subject makes of a short form what the engine is asked about.
func (s *short) subject() (policy.Subject, error) {
	var out policy.Subject
	var err error
	if out.Type, err = protocol.ParseObjectType(s.Type.text); err != nil {
		return out, wrong(s.Type.place, "%s", err)
	}
	if s.Marking.given() {
		if out.Marking, err = protocol.ParseMarking(s.Marking.text); err != nil {
			return out, wrong(s.Marking.place, "%s", err)
		}
	}
	return out, s.terms(&out)
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (o *object) UnmarshalYAML(node ast.Node) error {
	o.place = node.GetToken()
	switch n := node.(type) {
	case *ast.StringNode:
		o.whole = []byte(n.Value)
		return nil
	case *ast.LiteralNode:
		o.whole = []byte(n.Value.Value)
		return nil
	case *ast.MappingNode, *ast.MappingValueNode:
	default:
		return wrong(o.place, "an object is {type: …, marking: …}, {file: NAME#ID}, or a STIX object")
	}
	var keys map[string]any
	if err := yaml.NodeToValue(node, &keys, strict()...); err != nil {
		return err
	}
	switch {
	case keys["file"] != nil:
		var form struct {
			File word `yaml:"file"`
		}
		err := group(node, &form)
		o.file = form.File
		return err
	case keys["id"] != nil:
		raw, err := json.Marshal(keys, json.Deterministic(true))
		o.whole = raw
		return err
	}
	o.short = &short{}
	if err := group(node, o.short); err != nil {
		return err
	}
	if !o.short.Type.given() {
		return wrong(o.place, "the object has no type; a whole STIX object has an id")
	}
	_, err := o.short.subject()
	return err
}

// samples reads the files that cases take objects from, each once.
type samples struct {
	from  fs.FS
	files map[string]map[string]*stix.Object // by name, then id; of several versions the newest
}

// subject returns what a case is about.
func (s *samples) subject(o *object) (policy.Subject, error) {
	switch {
	case o.short != nil:
		return o.short.subject()
	case o.whole != nil:
		parsed, err := stix.Parse(o.whole, stix.DefaultLimits())
		if err != nil {
			return policy.Subject{}, wrong(o.place, "%s", oneLine(err))
		}
		parsed.Level = stix.LevelOf(parsed, nil)
		return policy.SubjectOf(parsed), nil
	}
	name, id, found := strings.Cut(o.file.text, "#")
	if !found || name == "" || id == "" {
		return policy.Subject{}, wrong(o.file.place, "write the file's name, # and the object's id: sample.json#indicator--…")
	}
	objects, err := s.open(name)
	if err != nil {
		return policy.Subject{}, wrong(o.file.place, "%s", oneLine(err))
	}
	parsed := objects[id]
	if parsed == nil {
		return policy.Subject{}, wrong(o.file.place, "%.80q holds no object with the id %.80q", name, id)
	}
	return policy.SubjectOf(parsed), nil
}

// open reads one file of sample objects: a bundle, an array, or one or more objects.
func (s *samples) open(name string) (map[string]*stix.Object, error) {
	if objects := s.files[name]; objects != nil {
		return objects, nil
	}
	if !fs.ValidPath(name) || s.from == nil {
		return nil, fmt.Errorf("%.80q is no name of a file in the folder of the cases or below it", name)
	}
	f, err := s.from.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSample+1))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxSample {
		return nil, fmt.Errorf("%.80q has over %d MiB, the limit for sample objects", name, maxSample>>20)
	}
	objects, err := parseAll(text)
	if err != nil {
		return nil, fmt.Errorf("%.80q: %w", name, err)
	}
	if s.files == nil {
		s.files = map[string]map[string]*stix.Object{}
	}
	s.files[name] = objects
	return objects, nil
}

// parseAll reads all objects of a document; markings that it defines count.
func parseAll(text []byte) (map[string]*stix.Object, error) {
	if bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
		return nil, errors.New("sample objects are plain JSON, not gzip")
	}
	limits := stix.DefaultLimits()
	r, err := stix.NewReader(bytes.NewReader(text), limits)
	if err != nil {
		return nil, err
	}
	objects := map[string]*stix.Object{}
	for {
		item, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		o, err := stix.Parse(item.Raw, limits)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", item.Line, err)
		}
		if held := objects[o.ID]; held == nil || held.Version().Before(o.Version()) {
			objects[o.ID] = o
		}
	}
	for _, o := range objects {
		o.Level = stix.LevelOf(o, func(id string) *stix.Object { return objects[id] })
	}
	return objects, nil
}

// oneLine returns an error's text on one line, as carets want it.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }
