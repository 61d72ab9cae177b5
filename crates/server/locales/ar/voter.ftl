# صفحات المصوّتين: الورقة والمراجعة والإيصال والانتظار والنتائج والسجل.

warn-open = عاد التصويت مفتوحًا.
warn-paused = التصويت متوقف مؤقتًا. لم يُسجَّل صوتك.
warn-closed = أُغلق التصويت. إن لم تكن قد صوّتّ فلن يُحتسب صوتك.
warn-minute = يُغلق التصويت بعد دقيقة.
marked-js = عُلِّم {"{"}n{"}"} من {"{"}max{"}"}.
marked-all-js = عُلِّم {"{"}n{"}"} من {"{"}max{"}"}. أزل علامة لتضع أخرى.
sending = يجري تسجيل صوتك …
not-sent = لا يوجد اتصال: لا يُعرف بعد هل سُجِّل صوتك. اضغط الزر مرة أخرى؛ لن يُحتسب مرتين.
not-known-js = لا يُعرف بعد هل سُجِّل صوتك. يُعاد السؤال الآن؛ ولن يُحتسب إلا مرة واحدة.
not-known-title = لا نعرف بعد هل سُجِّل صوتك
not-known-text = الخوادم تحدد الآن أيها يقود. اضغط الزر مرة أخرى: يُحتسب صوتك مرة واحدة مهما ضغطت.
busy-js = الخادم مشغول ولم يُسجَّل صوتك بعد. تُعاد المحاولة بعد {"{"}seconds{"}"} ث.
mute = اكتم الإعلانات

real-vote = تصويت حقيقي
closes-at = يُغلق { $time }
closes-after =
    { $n ->
        [one] يُغلق حين يصوّت شخص واحد
        [two] يُغلق حين يصوّت شخصان
        [few] يُغلق حين يصوّت { $n } أشخاص
        [many] يُغلق حين يصوّت { $n } شخصًا
       *[other] يُغلق حين يصوّت { $n } شخص
    }
closes-after-all = يُغلق حين يصوّت كل من في القائمة
time-left = متبقٍّ
error-title = خطأ: { $title }
record-and-check = السجل وفحص الإيصال
trying-alone = تجرّب وحدك؟
vote-as-another = صوّت كشخص آخر على هذا الجهاز

secrecy-open = هذا تصويت علني: تُنشر الأوراق تحت رموز مع النتيجة، ومن يدير التصويت يستطيع رؤيتها.
contest-of = السؤال { $n } من { $count }
next-contest = التالي
previous-contest = رجوع
check-answers = راجع إجاباتي
leave-blank = اتركه أبيض
new-tab = عن { $name }، يفتح علامة تبويب جديدة
rating-low = { $level } = الأدنى
rating-high = { $level } = الأعلى
fault-title = أعد النظر من فضلك
fault-not-cast = لم يُسجَّل صوتك.
fault-exactly =
    { $given ->
        [one] اختر { $max }: عُلِّم واحد.
        [two] اختر { $max }: عُلِّم اثنان.
       *[other] اختر { $max }: عُلِّم { $given }.
    }
fault-up-to =
    { $given ->
        [one] اختر حتى { $max }: عُلِّم واحد.
        [two] اختر حتى { $max }: عُلِّم اثنان.
       *[other] اختر حتى { $max }: عُلِّم { $given }.
    }
fault-from-to =
    { $given ->
        [one] اختر من { $min } إلى { $max }: عُلِّم واحد.
        [two] اختر من { $min } إلى { $max }: عُلِّم اثنان.
       *[other] اختر من { $min } إلى { $max }: عُلِّم { $given }.
    }
fault-unreadable = تعذّرت قراءة هذه الإجابة. علّمها من جديد.

identify-label = معرّف الناخب
identify-hint = كما أُعطي لك. من يعرف معرّفًا يستطيع التصويت به، فاحتفظ به لنفسك.
identify-button = اعرض ورقتي
not-on-list = غير موجود في القائمة.
not-on-list-text = لا يوجد هذا المعرّف في القائمة. تحقق من أخطاء الكتابة.

review-title = راجع إجاباتك
nothing-cast-yet = لم يُسجَّل شيء بعد.
blank = ورقة بيضاء
nothing-marked = لم تعلّم شيئًا هنا: يُحتسب هذا أبيض.
change = غيّر
cast-my-vote = سجّل صوتي

waiting-draft = لم يُفتح التصويت بعد.
waiting-draft-text = تعرض هذه الصفحة الورقة حين يُفتح.
waiting-paused = التصويت متوقف مؤقتًا.
waiting-paused-text = لم يُسجَّل صوتك. تعود الورقة حين يُستأنف التصويت.
waiting-cancelled = أُلغي هذا التصويت.
waiting-cancelled-text = لا يُحتسب أي صوت فيه.
waiting-closed = أُغلق التصويت.
waiting-locked = الانضمام مغلق.
waiting-locked-text = لا يستطيع أحد الانضمام الآن؛ من انضم من قبل يصوّت كالمعتاد. اطلب من المسؤول أن يفتح الانضمام.
closed-at = أُغلق { $time }
vote-not-cast = لم يُسجَّل صوتك.
vote-not-cast-again = لم يُسجَّل هذا الصوت. صوتك السابق ما زال محتسبًا.
no-vote-cast-here = لم يُسجَّل صوت من هذا المتصفح.
look-again = انظر مرة أخرى
show-results = اعرض النتائج
my-receipt = إيصالي
current-question = اذهب إلى السؤال الحالي

cast-title = سُجِّل صوتك
cast-at = سُجِّل { $time }
next-election = التالي:
receipt-title = إيصالك
receipt-number = الورقة { $n }. الرمز يجد ورقتك في السجل؛ وملف الإيصال يثبت أنها قُبلت.
receipt-qr = رمز QR للصفحة التي تفحص هذا الإيصال
receipt-download = نزّل الإيصال
receipt-copy = انسخ الرمز
receipt-print = اطبعه
secrecy-receipt = من يرى هذا الرمز أو ملف الإيصال يستطيع أن يجد ورقتك في السجل المنشور.
what-happens-next = ما التالي
voted-of =
    { $n ->
        [zero] لم يصوّت أحد من { $max }
        [one] صوّت واحد من { $max }
        [two] صوّت اثنان من { $max }
       *[other] صوّت { $n } من { $max }
    }
afterwards = بعد ذلك
change-my-vote = غيّر صوتي
vote-again = صوّت مرة أخرى
change-allowed = تستطيع تغيير صوتك حتى إغلاق التصويت: تُحتسب ورقتك الأخيرة وحدها.
change-over = تُحتسب آخر ورقة سجّلتها.
change-forbidden = لا يمكن في هذا التصويت تغيير صوت سُجِّل.
ballots-of-yours =
    { $n ->
        [one] سجّلت ورقة واحدة من { $max }.
        [two] سجّلت ورقتين من { $max }.
        [few] سجّلت { $n } أوراق من { $max }.
       *[other] سجّلت { $n } ورقة من { $max }.
    }
check-text = يستطيع كل من لديه الرمز أن يرى هل هذه الورقة في السجل: من أي جهاز، الآن أو لاحقًا، وكلما شاء.
check-my-receipt = افحص إيصالي

results = النتائج
vote = صوّت
record = السجل
counts-hidden = لا تظهر الأعداد بعد.
as-of = حتى الصوت { $n }.
column-choice = الخيار
column-level = الدرجة
column-votes = الأصوات
column-share = النسبة
winner = فائز
blank-count = أوراق بيضاء:
figure-ballots = أوراق محتسبة
figure-weight = وزن الأوراق
rounds = جولات أخرى
rules = القواعد
check-this-count = افحص هذا العدّ
check-this-count-text = يستطيع أي شخص أن يعيد العدّ كله من السجل المنشور، ببرنامج لا يثق بهذا الخادم في شيء.
record-definition = التعريف
record-root = الجذر

problem-again = لم يسجّل هذا الطلب صوتك. حاول مرة أخرى بعد { $seconds } ث.
problem-not-found = لا يوجد شيء في هذا العنوان
problem-not-found-text = قد يكون في العنوان خطأ، أو أن ما كان هنا لم يعد موجودًا.
problem-no-such-election = لا يوجد تصويت بهذا الاسم
problem-no-such-election-text = قد يكون في العنوان خطأ؛ الرمز على الشاشة يقود إلى المفتوح الآن.
problem-no-such-room = لا توجد غرفة بهذا الرمز
problem-no-such-room-text = تحقق من الرمز على الشاشة: حروف وأرقام، ولا فرق بين الكبير والصغير.
problem-method-not-allowed = هذا العنوان للنماذج
problem-method-not-allowed-text = ارجع وأرسل النموذج مرة أخرى.
problem-forbidden = لا يمكن قبول هذا النموذج
problem-forbidden-text = هو أقدم من هذه الجلسة أو أُرسل من موقع آخر، ولم يحدث شيء. ارجع وأعد تحميل الصفحة وأرسله مرة أخرى.
problem-results-hidden = لا يظهر هذا بعد
problem-results-hidden-text = تقول صفحة النتائج متى يظهر.
problem-key-reused = أُرسل هذا النموذج من قبل بإجابات أخرى
problem-key-reused-text = الورقة الأولى هي القائمة. افتح التصويت مرة أخرى لترى إيصالها.
problem-malformed = تعذّرت قراءة الطلب
problem-malformed-text = العنوان أو النموذج تالف، ولم يحدث شيء. ابدأ من جديد.
problem-timeout = استغرق وصول النموذج وقتًا طويلًا
problem-timeout-text = لم يُسجَّل شيء. ارجع وأرسله مرة أخرى.
problem-too-large = هذا كبير جدًا
problem-too-large-text = لم يحدث به شيء. أرسل أقل.
problem-rate-limited = طلبات كثيرة جدًا
problem-rate-limited-text = جاء من هنا أكثر مما يُقبل في وقت قصير كهذا.
problem-overloaded = لدى الخادم كل ما يستطيع من عمل
problem-overloaded-text = يعود إلى قبول الأصوات بعد لحظة؛ لن تفقد مكانك.
problem-storage-full = لا يستطيع الخادم تخزين المزيد الآن
problem-storage-full-text = تُقبل الأصوات من جديد حين تتوفر مساحة.
problem-no-leader = لا يقود أي خادم الآن
problem-no-leader-text = تختار الخوادم خادمًا جديدًا؛ يستغرق ذلك ثانية أو ثانيتين. لم يُسجَّل صوتك بهذا الإرسال.
problem-stopping = الخادم يتوقف
problem-stopping-text = يعود خلال ثوانٍ.
problem-internal = أخطأ الخادم
problem-internal-text = سُجِّل الخطأ. ارجع وأرسل النموذج نفسه مرة أخرى: لن يُحتسب مرتين.

record-title = سجل التصويت
check-a-receipt = افحص إيصالًا
checked-here =
    { $n ->
        [zero] لم تُفحص هنا أي ورقة من { $max }.
        [one] فُحصت هنا ورقة واحدة من { $max }.
        [two] فُحصت هنا ورقتان من { $max }.
        [few] فُحصت هنا { $n } أوراق من { $max }.
       *[other] فُحصت هنا { $n } ورقة من { $max }.
    }
checked-here-text = تُحسب كل ورقة مرة واحدة، حين يرسل أحد رمزها أو ملف إيصالها أدناه؛ فتح الرابط لا يُحسب.
code-label = الرمز على الإيصال
code-hint = اثنا عشر حرفًا ورقمًا؛ لا فرق بين الكبير والصغير، ولا أثر للمسافات والشرطات.
find-by-code = ابحث بالرمز
file-label = ملف الإيصال
file-hint = الملف الذي نُزّل بعد التصويت. يثبت أكثر من الرمز: أن هذا الخادم قبل الورقة، مهما قال الآن.
paste-receipt = الصق نصه بدلًا من ذلك
paste-label = نص الإيصال
check-this-receipt = افحص هذا الإيصال
nothing-to-check = لا شيء يُفحص.
nothing-to-check-text = اكتب رمزًا، أو اختر ملف إيصال، أو الصق نصه.
not-a-code = هذا ليس رمزًا.
not-a-code-text = في الرمز اثنا عشر حرفًا ورقمًا، مثل ABCD-EFGH-JKMN.
code-not-found = غير موجود.
code-not-found-text = ليس بين أحدث أربعة ملايين قيد ما له الرمز { $code }. تحقق من أخطاء الكتابة؛ بملف الإيصال توجد كل ورقة.
ballot-found = هذه الورقة في السجل.
act-found = هذا إجراء من لجنة الاقتراع.
ballot-found-text = الرمز { $code } هو القيد { $leaf } من { $size }.
ballot-place = هو القيد { $leaf } من { $size }.
ballot-says = في الورقة: { $answers }.
not-a-receipt = هذا ليس إيصالًا.
not-a-receipt-text = لا يمكن قراءته كإيصال. اختر الملف كما نُزّل دون تغيير.
receipt-fits = هذه الورقة في السجل.
receipt-does-not-fit = هذا الإيصال لا يطابق.
receipt-does-not-fit-text = احتفظ بالملف. إن كان موقّعًا بمفتاح هذا الخادم وكانت ورقته مفقودة فهو دليل عليه: أره لمن يدير التصويت ولغيرهم.
check-holds = صحيح
check-fails = غير صحيح
check-here = هو من هذا التصويت.
check-here-meaning = يذكر الإيصال هذا التصويت والدفتر الذي يُحفظ فيه.
check-definition = الأسئلة والقواعد هي نفسها.
check-definition-meaning = يحمل الإيصال بصمة ما ثُبّت عند فتح التصويت، وهي المذكورة أدناه.
check-signed = وقّعه هذا الخادم.
check-signed-meaning = لا يستطيع هذا التوقيع إلا صاحب المفتاح أدناه، ولا يستطيع أحد سحبه.
check-included = الورقة في السجل دون تغيير.
check-included-meaning = من بصمتها وبضع بصمات أخرى تنتج بصمة السجل كله، وهي الجذر أدناه. ورقة واحدة متغيّرة تعطي جذرًا آخر.
proof-steps = اعرض كل خطوة من البرهان
proof-steps-text = تُضم كل بصمة إلى التي قبلها بترتيب الشجرة (RFC 6962) ثم تُجزّأ بخوارزمية SHA-256. يستطيع أي أحد أن يعيد ذلك.
proof-leaf = بصمة الورقة
proof-joined = مضمومة إلى
proof-root = تعطي جذر السجل
on-record = ما في السجل
on-record-text = يحفظ الخادم قائمة يستطيع أن يضيف إليها ولا يستطيع أن يأخذ منها دون أن يظهر ذلك. هذه بصماتها: احتفظ بنسخة وقارنها لاحقًا.
record-ballots = الأوراق
record-leaves = القيود
record-leaves-text = الأوراق وإجراءات لجنة الاقتراع، بترتيب ورودها.
record-definition-text = بصمة الأسئلة والقواعد، ثُبّتت عند فتح التصويت.
record-root-text = بصمة كل القيود حتى الآن.
record-ledger = الدفتر
record-epoch = الحقبة { $n }. الحقبة فوق 1 تعني أن نسخة احتياطية استُعيدت أو أن استردادًا فُرض.
record-key = مفتاح الخادم
record-key-text = يوقّع الإيصالات ونقاط التحقق (Ed25519).
checkpoint = أحدث نقطة تحقق
checkpoint-text = بيان موقّع بالحجم والجذر. احتفظ بنسخة: كل سجل لاحق يجب أن يوافقه.
audit-title = افحصه بنفسك
audit-text = نزّل السجل وأعد فحصه كله ببرنامج لا يثق بهذا الخادم في شيء:
record-open = يحوي السجل كل ورقة تحت رمزها.
record-closed = تُضاف الأوراق إلى السجل حين يُسمح بظهور الأعداد؛ قبل ذلك لا يمكن تنزيله.
download-record = نزّل السجل
definition-line = التعريف، وهو السطر الذي بصمته أعلاه بحروفه
