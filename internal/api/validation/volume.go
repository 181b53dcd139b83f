package validation

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// volumeList checks the volumes of a pod and notes them for the mounts.
func (c *podCheck) volumeList(p *field.Path, volumes []corev1.Volume) {
	made := names{} // claims that ephemeral volumes bring into being
	for i := range volumes {
		if c.podName != "" && volumes[i].Ephemeral != nil {
			made.use(c.podName + "-" + volumes[i].Name)
		}
	}
	for i := range volumes {
		v, p := &volumes[i], p.Index(i)
		before := len(c.list)
		c.volume(p, v)
		if c.notEmpty(p.Child("name"), v.Name) {
			c.dnsLabel(p.Child("name"), v.Name)
		}
		if _, used := c.volumes[v.Name]; used {
			c.add(field.Duplicate(p.Child("name"), v.Name))
		}
		if len(c.list) == before {
			if c.volumes == nil {
				c.volumes = make(map[string]*corev1.Volume, len(volumes))
			}
			c.volumes[v.Name] = v
		}
		if s := v.PersistentVolumeClaim; s != nil && made.has(s.ClaimName) {
			c.invalid(p.Child("persistentVolumeClaim", "claimName"), s.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume")
		}
	}
}

// oneSource hands out the single place for a volume's source.
type oneSource struct {
	f     *findings
	p     *field.Path
	taken bool
}

func (o *oneSource) take(name string) bool {
	if o.taken {
		o.f.forbidden(o.p.Child(name), "may not specify more than 1 volume type")
		return false
	}
	o.taken = true
	return true
}

func (c *podCheck) volume(p *field.Path, v *corev1.Volume) {
	one := oneSource{f: &c.findings, p: p}
	if s := v.EmptyDir; s != nil {
		one.taken = true
		if s.SizeLimit != nil && s.SizeLimit.Sign() < 0 {
			c.forbidden(p.Child("emptyDir", "sizeLimit"), "SizeLimit field must be a valid resource quantity")
		}
		c.fileMode(p.Child("emptyDir", "mode"), s.Mode)
	}
	if s := v.HostPath; s != nil && one.take("hostPath") {
		c.hostPath(p.Child("hostPath"), s)
	}
	if s := v.Secret; s != nil && one.take("secret") {
		c.notEmpty(p.Child("secret", "secretName"), s.SecretName)
		c.fileMode(p.Child("secret", "defaultMode"), s.DefaultMode)
		c.keyFiles(p.Child("secret", "items"), s.Items)
	}
	if s := v.PersistentVolumeClaim; s != nil && one.take("persistentVolumeClaim") {
		c.notEmpty(p.Child("persistentVolumeClaim", "claimName"), s.ClaimName)
	}
	if s := v.DownwardAPI; s != nil && one.take("downwarAPI") {
		c.fileMode(p.Child("downwardAPI", "defaultMode"), s.DefaultMode)
		for i := range s.Items {
			c.downwardFile(p.Child("downwardAPI"), &s.Items[i])
		}
	}
	if s := v.ConfigMap; s != nil && one.take("configMap") {
		c.notEmpty(p.Child("configMap", "name"), s.Name)
		c.fileMode(p.Child("configMap", "defaultMode"), s.DefaultMode)
		c.keyFiles(p.Child("configMap", "items"), s.Items)
	}
	if s := v.Projected; s != nil && one.take("projected") {
		c.fileMode(p.Child("projected", "defaultMode"), s.DefaultMode)
		c.projections(p.Child("projected"), s.Sources)
	}
	c.networkVolume(&one, v)
	if s := v.CSI; s != nil && one.take("csi") {
		c.csiVolume(p.Child("csi"), s)
	}
	if s := v.Ephemeral; s != nil && one.take("ephemeral") {
		c.ephemeralVolume(p, v)
	}
	if s := v.Image; s != nil && one.take("image") {
		if c.isPod {
			c.notEmpty(p.Child("image", "reference"), s.Reference)
		}
		c.pullPolicy(p.Child("image", "pullPolicy"), s.PullPolicy)
	}
	if !one.taken {
		c.required(p, "must specify a volume type")
	}
}

func (f *findings) hostPath(p *field.Path, s *corev1.HostPathVolumeSource) {
	if !f.notEmpty(p.Child("path"), s.Path) {
		return
	}
	f.noBacksteps(p.Child("path"), s.Path)
	if s.Type != nil {
		among(f, p.Child("type"), *s.Type, corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev,
			corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate, corev1.HostPathFile,
			corev1.HostPathFileOrCreate, corev1.HostPathSocket)
	}
}

func (f *findings) keyFiles(p *field.Path, items []corev1.KeyToPath) {
	for i := range items {
		f.keyFile(p.Index(i), &items[i])
	}
}

func (f *findings) keyFile(p *field.Path, k *corev1.KeyToPath) {
	f.notEmpty(p.Child("key"), k.Key)
	f.notEmpty(p.Child("path"), k.Path)
	f.fileName(p.Child("path"), k.Path)
	f.fileMode(p.Child("mode"), k.Mode)
}

func (c *podCheck) downwardFile(p *field.Path, d *corev1.DownwardAPIVolumeFile) {
	c.notEmpty(p.Child("path"), d.Path)
	c.fileName(p.Child("path"), d.Path)
	switch {
	case d.FieldRef != nil:
		c.fieldRef(p.Child("fieldRef"), d.FieldRef, fileFields)
		if d.ResourceFieldRef != nil {
			c.invalid(p, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
		}
	case d.ResourceFieldRef != nil:
		c.resourceRef(p.Child("resourceFieldRef"), d.ResourceFieldRef, true)
	default:
		c.required(p, "one of fieldRef and resourceFieldRef is required")
	}
	c.fileMode(p.Child("mode"), d.Mode)
}

func (f *findings) csiDriver(p *field.Path, name string) {
	if !f.notEmpty(p, name) {
		return
	}
	if len(name) > 63 {
		f.add(field.TooLong(p, "", 63))
	}
	f.messages(p, name, apivalidation.NameIsDNSSubdomain(strings.ToLower(name), false))
}

func (c *podCheck) csiVolume(p *field.Path, s *corev1.CSIVolumeSource) {
	c.csiDriver(p.Child("driver"), s.Driver)
	if r := s.NodePublishSecretRef; r != nil && c.notEmpty(p.Child("nodePublishSecretRef", "name"), r.Name) {
		c.messages(p.Child("name"), r.Name, apivalidation.NameIsDNSSubdomain(r.Name, false))
	}
}

func (c *podCheck) ephemeralVolume(p *field.Path, v *corev1.Volume) {
	template := p.Child("ephemeral", "volumeClaimTemplate")
	if t := v.Ephemeral.VolumeClaimTemplate; t == nil {
		c.required(template, "")
	} else {
		c.templateMeta(template.Child("metadata"), &t.ObjectMeta)
		c.claimSpec(template.Child("spec"), &t.Spec)
	}
	if c.podName == "" || v.Name == "" {
		return
	}
	claim := c.podName + "-" + v.Name
	for _, m := range apivalidation.NameIsDNSSubdomain(claim, false) {
		c.invalid(p.Child("name"), v.Name, fmt.Sprintf("PVC name %q: %v", claim, m))
	}
}
