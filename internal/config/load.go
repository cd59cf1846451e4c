package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/viper"
)

// envPrefix begins every environment variable that is read: nats.ca_file is
// PDNS_DISTRIBUTE_NATS_CA_FILE.
const envPrefix = "PDNS_DISTRIBUTE"

// Load reads the configuration for a role: the defaults, over them the TOML file
// at path (none when path is empty), over it the environment, over it
// overrides, a map of section.key to text. An empty role is found out:
// secondary where secondary.advertise_dns_address is set, else primary.
//
// An error is always of type [Faults] and holds everything that is wrong. A
// secret file is read; the files of certificates and credentials are checked
// only, since they are read again whenever a connection is made.
func Load(path string, role Role, overrides map[string]string) (*Config, error) {
	conf, faults := Default(), &faultList{}
	keys := keysOf(conf)
	sources := viper.New()
	if path != "" {
		if err := sources.MergeConfigMap(readFile(path, keys, faults)); err != nil {
			faults.add(path, "cannot be used: %v", err)
		}
		if faults.has(path) { // all that would be missing without it is not worth a line
			return nil, faults.found
		}
	}
	bindEnvironment(sources, keys, faults)
	for name, text := range overrides {
		if find(keys, name) == nil {
			faults.add(name, "%s", unknown(name, keys)+" (from --set)")
			continue
		}
		sources.Set(name, text)
	}
	for _, k := range keys {
		if sources.IsSet(k.name) {
			k.assign(sources.Get(k.name), origin(k, overrides), faults)
		}
	}
	conf.Role = role
	if role == "" {
		conf.Role = RolePrimary
		if conf.Secondary.AdvertiseDNSAddress != "" {
			conf.Role = RoleSecondary
		}
	}
	conf.check(faults)
	if len(faults.found) > 0 {
		return nil, faults.sorted(names(keys))
	}
	return conf, nil
}

// origin says where the text of a key came from, empty for the file.
func origin(k key, overrides map[string]string) string {
	if _, ok := overrides[k.name]; ok {
		return "--set"
	}
	if _, ok := os.LookupEnv(k.env()); ok {
		return k.env()
	}
	return ""
}

// readFile returns the tables of the TOML file, without what is unknown.
func readFile(path string, keys []key, faults *faultList) map[string]any {
	data, err := os.ReadFile(path)
	if err != nil {
		faults.add(path, "%s, expected the configuration file", reason(err))
		return nil
	}
	file := map[string]any{}
	if err := toml.Unmarshal(data, &file); err != nil {
		var at *toml.DecodeError
		if errors.As(err, &at) {
			line, column := at.Position()
			// Not the library's longer text: it quotes the line, which may hold a
			// password.
			faults.add(path, "is not valid TOML at line %d, column %d: %s", line, column, strings.TrimPrefix(at.Error(), "toml: "))
		} else {
			faults.add(path, "is not valid TOML: %v", err)
		}
		return nil
	}
	for _, section := range slices.Sorted(maps.Keys(file)) {
		checkSection(file, section, keys, faults)
	}
	return file
}

// checkSection reports, and takes out of file, what no key is named after.
func checkSection(file map[string]any, section string, keys []key, faults *faultList) {
	table, isTable := file[section].(map[string]any)
	known := slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.name, section+".") })
	switch {
	case !known && !isTable:
		faults.add(section, "%s", unknown(section, keys))
		delete(file, section)
	case !isTable:
		faults.add(section, "is %s, expected the section [%s]", describe(file[section]), section)
		delete(file, section)
	case !known && len(table) == 0:
		faults.add(section, "unknown section")
	}
	for name := range table {
		if full := section + "." + name; find(keys, full) == nil {
			faults.add(full, "%s", unknown(full, keys))
			delete(table, name)
		}
	}
}

// bindEnvironment lets the environment override every key, and reports variables that
// begin like a key of ours and are none.
func bindEnvironment(sources *viper.Viper, keys []key, faults *faultList) {
	sources.AllowEmptyEnv(true) // metrics.listen may be switched off by an empty value
	known := map[string]bool{}
	for _, k := range keys {
		known[k.env()] = true
		if err := sources.BindEnv(k.name, k.env()); err != nil {
			faults.add(k.name, "cannot be read from the environment: %v", err)
		}
	}
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		if known[name] || !sectionVariable(name, keys) {
			continue
		}
		faults.add(name, "%s", unknown(strings.ToLower(strings.TrimPrefix(name, envPrefix+"_")), keys))
	}
}

// sectionVariable reports whether the variable's name begins with a section's.
// Others with our prefix are left to scripts, and so is what Kubernetes sets
// for a service called pdns-distribute-proxy.
func sectionVariable(name string, keys []key) bool {
	if strings.Contains(name, "_SERVICE_") || strings.Contains(name, "_PORT") {
		return false
	}
	return slices.ContainsFunc(keys, func(k key) bool {
		section, _, _ := strings.Cut(k.env()[len(envPrefix)+1:], "_")
		return strings.HasPrefix(name, envPrefix+"_"+section+"_")
	})
}

// reason is an error of the file system without the path, which the fault names
// anyway.
func reason(err error) string {
	var at *os.PathError
	if errors.As(err, &at) {
		return fmt.Sprintf("cannot read %s (%v)", at.Path, at.Err)
	}
	return err.Error()
}
