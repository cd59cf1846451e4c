// Command confdoc writes docs/configuration.md from the configuration's struct:
// keys and defaults by reflection, texts from the fields' comments.
package main

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"text/template"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

//go:embed page.md.tmpl
var page string

func main() {
	out := flag.String("o", "configuration.md", "the file to write")
	source := flag.String("source", "config.go", "the file that holds the struct")
	flag.Parse()
	text, err := reference(*source)
	if err == nil {
		err = os.WriteFile(*out, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "confdoc:", err)
		os.Exit(1)
	}
}

// section and entry are what the page shows.
type (
	section struct {
		Name, Doc string
		Keys      []entry
	}
	entry struct{ Name, Type, Default, Doc string }
)

// reference renders the page.
func reference(source string) ([]byte, error) {
	docs, err := comments(source)
	if err != nil {
		return nil, err
	}
	sections, err := describe(docs)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = template.Must(template.New("page").Parse(page)).Execute(&out, sections)
	return out.Bytes(), err
}

// comments maps "Type.Field" to the field's comment on one line.
func comments(source string) (map[string]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	docs := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if fields, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range fields.Fields.List {
				docs[spec.Name.Name+"."+field.Names[0].Name] = strings.Join(strings.Fields(field.Doc.Text()), " ")
			}
		}
		return false
	})
	return docs, nil
}

func describe(docs map[string]string) ([]section, error) {
	conf := config.Default()
	conf.Host.ID = "" // depends on the host
	root := reflect.ValueOf(conf).Elem()
	var sections []section
	for i := range root.NumField() {
		field := root.Type().Field(i)
		name := field.Tag.Get("mapstructure")
		if name == "-" {
			continue
		}
		s := section{Name: name, Doc: sentence(docs["Config."+field.Name], field.Name)}
		for j := range root.Field(i).NumField() {
			key := field.Type.Field(j)
			if key.Tag.Get("mapstructure") == "-" {
				continue
			}
			doc := docs[field.Type.Name()+"."+key.Name]
			if doc == "" {
				return nil, fmt.Errorf("%s.%s has no comment", field.Type.Name(), key.Name)
			}
			s.Keys = append(s.Keys, describeKey(key, root.Field(i).Field(j), doc))
		}
		sections = append(sections, s)
	}
	return sections, nil
}

func describeKey(field reflect.StructField, value reflect.Value, doc string) entry {
	name := field.Tag.Get("mapstructure")
	e := entry{
		Name: name,
		Doc:  strings.ReplaceAll(sentence(doc, field.Name), "|", `\|`),
	}
	switch v := value.Interface().(type) {
	case string:
		e.Type = "text"
		if v != "" {
			e.Default = fmt.Sprintf("`%q`", v)
		}
	case []string:
		e.Type = "list of texts"
		if len(v) > 0 {
			e.Default = "`[\"" + strings.Join(v, `", "`) + "\"]`"
		}
	case bool:
		e.Type, e.Default = "true or false", fmt.Sprintf("`%t`", v)
	case int:
		e.Type, e.Default = "number", fmt.Sprintf("`%d`", v)
	case time.Duration:
		e.Type, e.Default = "duration", fmt.Sprintf("`%q`", short(v))
	}
	return e
}

// short is the duration as people write it: 1m, not 1m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// sentence turns the Go comment "Name is …" into "…" with a capital letter.
func sentence(doc, name string) string {
	rest, ok := strings.CutPrefix(doc, name+" ")
	if !ok {
		return doc
	}
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "is "), "are ")
	return strings.ToUpper(rest[:1]) + rest[1:]
}
