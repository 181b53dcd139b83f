package validation

import (
	"fmt"
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PersistentVolume checks a new volume.
func PersistentVolume(v *corev1.PersistentVolume) field.ErrorList {
	var f findings
	f.persistentVolume(v)
	return f.list
}

func (f *findings) persistentVolume(v *corev1.PersistentVolume) {
	f.meta(&v.ObjectMeta, false, apivalidation.NameIsDNSSubdomain)
	s, p := &v.Spec, specPath
	if len(s.AccessModes) == 0 {
		f.required(p.Child("accessModes"), "")
	}
	f.accessModes(p.Child("accessModes"), s.AccessModes)
	f.capacity(p.Child("capacity"), s.Capacity)
	if s.PersistentVolumeReclaimPolicy != "" {
		among(f, p.Child("persistentVolumeReclaimPolicy"), s.PersistentVolumeReclaimPolicy, corev1.PersistentVolumeReclaimDelete,
			corev1.PersistentVolumeReclaimRecycle, corev1.PersistentVolumeReclaimRetain)
	}
	if a := s.NodeAffinity; a != nil {
		if a.Required == nil {
			f.required(p.Child("nodeAffinity", "required"), "must specify required node constraints")
		} else {
			f.nodeSelector(p.Child("nodeAffinity", "required"), a.Required)
		}
	}
	f.volumeSource(p, v)
	f.recycledRoot(p, s)
	f.className(p.Child("storageClassName"), &s.StorageClassName)
	f.volumeMode(p.Child("volumeMode"), s.VolumeMode)
	f.attributesClass(p, s)
}

func (f *findings) recycledRoot(p *field.Path, s *corev1.PersistentVolumeSpec) {
	if s.HostPath != nil && path.Clean(s.HostPath.Path) == "/" && s.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRecycle {
		f.forbidden(p.Child("persistentVolumeReclaimPolicy"), "may not be 'recycle' for a hostPath mount of '/'")
	}
}

func (f *findings) attributesClass(p *field.Path, s *corev1.PersistentVolumeSpec) {
	if n := s.VolumeAttributesClassName; n != nil {
		if *n == "" {
			f.required(p.Child("volumeAttributesClassName"), "an empty string is disallowed")
		}
		f.className(p.Child("volumeAttributesClassName"), n)
		if s.CSI == nil {
			f.required(p.Child("csi"), "has to be specified when using volumeAttributesClassName")
		}
	}
}

func (f *findings) capacity(p *field.Path, c corev1.ResourceList) {
	if len(c) == 0 {
		f.required(p, "")
	}
	if _, ok := c[corev1.ResourceStorage]; !ok || len(c) > 1 {
		f.add(field.NotSupported(p, c, []corev1.ResourceName{corev1.ResourceStorage}))
	}
	for _, name := range sortedNames(c) {
		f.amount(p.Key(string(name)), c[name])
		f.positive(p.Key(string(name)), c[name])
	}
}

func (f *findings) volumeSource(p *field.Path, v *corev1.PersistentVolume) {
	s, one := &v.Spec, oneSource{f: f, p: p}
	if x := s.HostPath; x != nil && one.take("hostPath") {
		f.hostPath(p.Child("hostPath"), x)
	}
	f.networkSource(&one, v)
	if x := s.Local; x != nil && one.take("local") {
		if f.notEmpty(p.Child("local", "path"), x.Path) {
			f.noBacksteps(p.Child("local", "path"), x.Path)
		}
		if s.NodeAffinity == nil {
			f.required(p.Child("nodeAffinity"), "Local volume requires node affinity")
		}
	}
	if x := s.CSI; x != nil && one.take("csi") {
		p := p.Child("csi")
		f.csiDriver(p.Child("driver"), x.Driver)
		f.notEmpty(p.Child("volumeHandle"), x.VolumeHandle)
		f.secretRef(p.Child("controllerPublishSecretRef"), x.ControllerPublishSecretRef)
		f.secretRef(p.Child("controllerExpandSecretRef"), x.ControllerExpandSecretRef)
		f.secretRef(p.Child("nodePublishSecretRef"), x.NodePublishSecretRef)
		f.secretRef(p.Child("nodeExpandSecretRef"), x.NodeExpandSecretRef)
	}
	if !one.taken {
		f.required(p, "must specify a volume type")
	}
}

func (f *findings) secretRef(p *field.Path, r *corev1.SecretReference) {
	if r == nil {
		return
	}
	if f.notEmpty(p.Child("name"), r.Name) {
		f.dnsSubdomain(p.Child("name"), r.Name)
	}
	if f.notEmpty(p.Child("namespace"), r.Namespace) {
		f.dnsLabel(p.Child("namespace"), r.Namespace)
	}
}

// networkSource checks the sources that live on some storage system.
func (f *findings) networkSource(one *oneSource, v *corev1.PersistentVolume) {
	s, p := &v.Spec, one.p
	if x := s.GCEPersistentDisk; x != nil && one.take("gcePersistentDisk") {
		f.gceDisk(p.Child("persistentDisk"), x)
	}
	if x := s.AWSElasticBlockStore; x != nil && one.take("awsElasticBlockStore") {
		f.awsDisk(p.Child("awsElasticBlockStore"), x)
	}
	if x := s.Glusterfs; x != nil && one.take("glusterfs") {
		f.notEmpty(p.Child("glusterfs", "endpoints"), x.EndpointsName)
		f.notEmpty(p.Child("glusterfs", "path"), x.Path)
	}
	if x := s.Flocker; x != nil && one.take("flocker") {
		f.flocker(p.Child("flocker"), x)
	}
	if x := s.NFS; x != nil && one.take("nfs") {
		f.nfs(p.Child("nfs"), x)
	}
	if x := s.RBD; x != nil && one.take("rbd") {
		f.rbd(p.Child("rbd"), x.CephMonitors, x.RBDImage)
	}
	if x := s.Quobyte; x != nil && one.take("quobyte") {
		f.quobyte(p.Child("quobyte"), x)
	}
	if x := s.CephFS; x != nil && one.take("cephFS") && len(x.Monitors) == 0 {
		f.required(p.Child("cephfs", "monitors"), "")
	}
	if x := s.ISCSI; x != nil && one.take("iscsi") {
		f.iscsi(p.Child("iscsi"), iscsi{
			x.TargetPortal, x.IQN, x.Lun, x.DiscoveryCHAPAuth || x.SessionCHAPAuth, x.SecretRef != nil, x.InitiatorName,
		}, "")
		if x.InitiatorName != nil && len(v.Name)+1+len(x.TargetPortal) > 64 {
			f.invalid(p.Child("iscsi", "targetportal"), x.TargetPortal, iscsiTooLong)
		}
		if x.SecretRef != nil {
			f.notEmpty(p.Child("iscsi", "secretRef", "name"), x.SecretRef.Name)
		}
	}
	if x := s.Cinder; x != nil && one.take("cinder") {
		f.notEmpty(p.Child("cinder", "volumeID"), x.VolumeID)
		if x.SecretRef != nil {
			f.notEmpty(p.Child("cinder", "secretRef", "name"), x.SecretRef.Name)
			f.notEmpty(p.Child("cinder", "secretRef", "namespace"), x.SecretRef.Namespace)
		}
	}
	if x := s.FC; x != nil && one.take("fc") {
		f.fibreChannel(p.Child("fc"), x)
	}
	if x := s.FlexVolume; x != nil {
		one.taken = true
		f.flexVolume(p.Child("flexVolume"), x.Driver, x.Options)
	}
	if x := s.AzureFile; x != nil && one.take("azureFile") {
		f.notEmpty(p.Child("azureFile", "secretName"), x.SecretName)
		f.notEmpty(p.Child("azureFile", "shareName"), x.ShareName)
		if x.SecretNamespace != nil {
			f.notEmpty(p.Child("azureFile", "secretNamespace"), *x.SecretNamespace)
		}
	}
	if x := s.VsphereVolume; x != nil && one.take("vsphereVolume") {
		f.notEmpty(p.Child("vsphereVolume", "volumePath"), x.VolumePath)
	}
	if x := s.PhotonPersistentDisk; x != nil && one.take("photonPersistentDisk") {
		f.notEmpty(p.Child("photonPersistentDisk", "pdID"), x.PdID)
	}
	if x := s.PortworxVolume; x != nil && one.take("portworxVolume") {
		f.notEmpty(p.Child("portworxVolume", "volumeID"), x.VolumeID)
	}
	if x := s.AzureDisk; x != nil && one.take("azureDisk") {
		f.azureDisk(p.Child("azureDisk"), x)
	}
	if x := s.ScaleIO; x != nil && one.take("scaleIO") {
		f.scaleIO(p.Child("scaleIO"), x.Gateway, x.System, x.VolumeName)
	}
	if x := s.StorageOS; x != nil && one.take("storageos") {
		f.storageOS(p.Child("storageos"), x.VolumeName, x.VolumeNamespace)
	}
}

// PersistentVolumeUpdate checks a change of a volume: what it is made of stays.
func PersistentVolumeUpdate(v, old *corev1.PersistentVolume) field.ErrorList {
	var f findings
	f.persistentVolume(v)
	source := v.Spec.PersistentVolumeSource
	if was, is := old.Spec.CSI, source.CSI; was != nil && was.ControllerExpandSecretRef == nil && is != nil && is.ControllerExpandSecretRef != nil {
		copied := *is
		copied.ControllerExpandSecretRef = nil
		source.CSI = &copied
	}
	if !equality.Semantic.DeepEqual(source, old.Spec.PersistentVolumeSource) {
		f.forbidden(specPath.Child("persistentvolumesource"), fmt.Sprintf("spec.persistentvolumesource is immutable after creation\n%v",
			diff.Diff(Untagged(old.Spec.PersistentVolumeSource), Untagged(source))))
	}
	f.immutable(field.NewPath("volumeMode"), v.Spec.VolumeMode, old.Spec.VolumeMode)
	if was := old.Spec.NodeAffinity; was != nil && !sameAffinity(v.Spec.NodeAffinity, was) {
		f.invalid(field.NewPath("nodeAffinity"), v.Spec.NodeAffinity, fieldIsImmutable+", except for updating from beta label to GA")
	}
	if old.Spec.VolumeAttributesClassName != nil && v.Spec.VolumeAttributesClassName == nil {
		f.forbidden(specPath.Child("volumeAttributesClassName"), "update from non-nil value to nil is forbidden")
	}
	return f.list
}

// finalLabel maps the beta names of node labels to those they have now.
var finalLabel = map[string]string{
	corev1.LabelFailureDomainBetaZone:   corev1.LabelTopologyZone,
	corev1.LabelFailureDomainBetaRegion: corev1.LabelTopologyRegion,
	"beta.kubernetes.io/os":             corev1.LabelOSStable,
	"beta.kubernetes.io/arch":           corev1.LabelArchStable,
	corev1.LabelInstanceType:            corev1.LabelInstanceTypeStable,
}

// sameAffinity compares, taking a renamed label for the same.
func sameAffinity(is, was *corev1.VolumeNodeAffinity) bool {
	if is == nil || is.Required == nil || was.Required == nil ||
		len(is.Required.NodeSelectorTerms) != len(was.Required.NodeSelectorTerms) {
		return equality.Semantic.DeepEqual(is, was)
	}
	was = was.DeepCopy()
	for i := range was.Required.NodeSelectorTerms {
		old, now := was.Required.NodeSelectorTerms[i].MatchExpressions, is.Required.NodeSelectorTerms[i].MatchExpressions
		for j := range old {
			if j < len(now) && now[j].Key == finalLabel[old[j].Key] {
				old[j].Key = now[j].Key
			}
		}
	}
	return equality.Semantic.DeepEqual(is, was)
}

// PersistentVolumeStatusUpdate checks a change of a volume's status.
func PersistentVolumeStatusUpdate(v, old *corev1.PersistentVolume) field.ErrorList {
	var f findings
	f.metaUpdate(&v.ObjectMeta, &old.ObjectMeta)
	f.notEmpty(field.NewPath("resourceVersion"), v.ResourceVersion)
	return f.list
}
