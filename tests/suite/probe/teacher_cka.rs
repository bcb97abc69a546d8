//! CKA against NumPy.

use g2d::probe::TeacherCka;

use super::{
    identity_student::{IdentityStudent, measured},
    value,
};
use crate::support::assert_number;

// def hsic(K, L):
//     n = len(K); K = K - np.diag(np.diag(K)); L = L - np.diag(np.diag(L)); o = np.ones(n)
//     return (np.trace(K@L) + (o@K@o)*(o@L@o)/((n-1)*(n-2)) - 2/(n-2)*(o@K@L@o)) / (n*(n-3))
// wave = lambda p, *s: np.sin(np.arange(np.prod(s)) + p).reshape(s)
// for m in range(2):
//     s = [0, 0, 0]
//     for n, p in [(6, 0.0), (5, 2.0)]:
//         X = wave(p+10*m, n, 4); Y = X @ wave(0.5, 4, 3) + 0.5*wave(p+20*m, n, 3)**2
//         K, L = X @ X.T, Y @ Y.T
//         for i, (a, b) in enumerate([(K, L), (K, K), (L, L)]): s[i] += n*hsic(a, b)
//     print(s[0] / np.sqrt(s[1]*s[2]))
#[test]
fn cka_agrees_with_numpy() {
    let found = measured(TeacherCka::with_interval(1));
    assert_number(value(&found, "cka_teacher", "m0"), 0.8481913312316196);
    assert_number(value(&found, "cka_teacher", "m1"), 0.8080723145179566);
}

#[test]
fn batches_of_three_samples_are_left_out_of_cka() {
    let student = IdentityStudent::new(2);
    let mut trainer = student.trainer(TeacherCka::with_interval(1));
    trainer.step(&student, &student.batch(3, 0.0)).unwrap();
    assert_eq!(trainer.end_epoch().unwrap().measurements, []);
}
